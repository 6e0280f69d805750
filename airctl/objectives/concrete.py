"""The Concrete relaxation of z_pres: a number between 0 and 1 for each decision, reparameterised like the rest.

    z_i = sigmoid((logit_i + l_i) / temperature),  l_i standard logistic,   m_i = z_1 ... z_i
    loss = -[ log p(x | sum_i m_i y_i) - sum_i m_i (kl_where_i + kl_what_i) - KL(q(n) || p(n)) ]

with y_i the pasted objects and the KL of the count in closed form. As the temperature falls m_i becomes "n >= i", and
the loss that of a sampled count, while the gradient's variance grows. Biased for the ELBO at any temperature above 0,
as it trains on canvases with half an object; unbiased for its own relaxed objective. The model is evaluated with whole
objects, as q(n) needs no relaxation. One likelihood a sample. Maddison et al. 2017; Jang et al. 2017.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from airctl.batch import uniform
from airctl.model import Objects
from airctl.objectives.terms import Estimator, Surrogate, Terms


class Temperature(nn.Module):
    """From ``start`` to ``end`` exponentially over ``steps`` calls in training mode; checkpoints keep the count."""

    def __init__(self, start: float, end: float, steps: int) -> None:
        super().__init__()
        self.start, self.end, self.steps = start, end, steps
        self.register_buffer("calls", torch.zeros(()), persistent=steps > 0)
        self.calls: Tensor

    def forward(self) -> float:
        done = min(1.0, float(self.calls) / self.steps) if self.steps else 1.0
        if self.training and self.steps:
            self.calls.add_(1)
        return math.exp((1 - done) * math.log(self.start) + done * math.log(self.end))


class Concrete(Estimator):
    """Differentiate the relaxed ELBO."""

    def __init__(self, temperature: Temperature) -> None:
        self.temperature = temperature
        self.modules = nn.ModuleDict({"temperature": temperature})

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.given(objects, terms, logistic(objects.logits, generator))

    def given(self, objects: Objects, terms: Terms, noise: Tensor) -> Surrogate:
        """The surrogate for logistic ``noise`` [B, N]."""
        return self.decided(objects, terms, self.decisions(objects.logits + noise))

    def decided(self, objects: Objects, terms: Terms, decisions: Tensor) -> Surrogate:
        """The surrogate for ``decisions`` [B, M]."""
        relaxed = relaxed_terms(objects, terms, terms.code.presence(decisions))
        count = (terms.log_q.exp() * (terms.log_p - terms.log_q)).sum(1)
        return Surrogate(-(relaxed + count).mean(), count.new_zeros(()), terms.elbo.detach())

    def decisions(self, decided: Tensor) -> Tensor:
        """The decisions [B, M] in [0, 1] that follow from logits with noise ``decided`` [B, M]."""
        soft: Tensor = (decided / self.temperature()).sigmoid()
        return soft


def logistic(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard logistic numbers of the shape of ``like``."""
    return uniform(like.shape, generator, like.dtype).logit(eps=torch.finfo(like.dtype).eps)


def relaxed_terms(objects: Objects, terms: Terms, presence: Tensor) -> Tensor:
    """log p(x | sum_i m_i y_i) - sum_i m_i kl_i for ``presence`` m [B, N] in [0, 1] -> [B], nats."""
    mean = objects.layers.sum(presence)
    kl = objects.kl_where + objects.kl_what
    return terms.likelihood.log_prob(objects.canvas, mean) - (presence * kl).sum(1)
