"""The exact gradient, with objects taught in every count: a mixture of q(n) and uniform weights, annealed to q(n).

    w(n) = (1 - e) q(n) + e / (N + 1)
    gradient = sum_n [ w(n) grad f_n + grad q(n) (f_n + log p(n) - log q(n)) ],   f_n = log p(x | canvas_n) - kl_n

With e = 0 this is ``exact``. There an object of a count that q has given up (two touching digits taken for one) is
taught nothing any more, so it never becomes worth attending to; e > 0 keeps teaching it, and the gradient of q(n)
itself stays exact. Biased for the ELBO while e > 0; e falls linearly to 0 over training. The mixture is that of
defensive importance sampling (Hesterberg 1995). Costs what ``exact`` costs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.terms import Estimator, Surrogate, Terms


class Share(nn.Module):
    """e: from ``start`` linearly to 0 over ``steps`` calls in training mode; checkpoints keep the number of calls."""

    def __init__(self, start: float, steps: int) -> None:
        super().__init__()
        self.start, self.steps = start, steps
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def forward(self) -> float:
        share = self.start * max(0.0, 1 - float(self.calls) / max(1, self.steps))
        if self.training:
            self.calls.add_(1)
        return share


class Defensive(Estimator):
    """Differentiate the ELBO with w(n) in place of q(n) for the objects."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.modules = nn.ModuleDict({"share": share})

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.expected(objects, terms)

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        """Nothing is sampled given the roll-out."""
        q, share = terms.log_q.exp(), self.share()
        weights = (1 - share) * q.detach() + share / q.shape[1]
        # sum_n grad q(n) = 0, so that the gradient of -log q(n) itself adds nothing.
        each = weights * (terms.log_likelihood - terms.kl) + q * terms.bracket.detach()
        return Surrogate(-each.sum(1).mean(), q.new_zeros(()), terms.elbo.detach())
