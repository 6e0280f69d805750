"""Gumbel-Rao: straight-through Gumbel with the noise that changed no decision averaged out.

    b_i = 1 if logit_i + l_i > 0,  l_i standard logistic,   u_ij ~ p(logit_i + l_i | b_i),  j = 1..J
    loss: that of ``straight_through`` at b
    gradient: d b_i / d logit_i taken to be 1/J sum_j d sigmoid(u_ij / temperature) / d u_ij

The loss depends on the noise through b alone, so the rest of the noise only adds variance to the slope of the
relaxation. Its mean given b is a Rao-Blackwellisation: the mean of straight-through, with its bias, and at most its
variance, which falls with J to that of the exact conditional mean. The conditional copies cost no likelihood. Paulus,
Maddison & Krause 2021, section 3; there for a categorical variable, here for M binary ones, whose p(u | b) is that of
``rebar``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from airctl.model import Objects
from airctl.objectives.concrete import Concrete, Temperature, logistic
from airctl.objectives.rebar import given_decisions
from airctl.objectives.terms import Surrogate, Terms


class GumbelRao(Concrete):
    """A sampled count whose decisions have the mean gradient of ``conditional`` relaxations that lead to it."""

    def __init__(self, temperature: Temperature, conditional: int) -> None:
        super().__init__(temperature)
        self.conditional = conditional  # J

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        noise = logistic(objects.logits, generator)
        scenes, steps = objects.logits.shape
        others = logistic(objects.logits[:, None].expand(scenes, self.conditional, steps), generator)
        return self.averaged(objects, terms, noise, others.movedim(1, 0))

    def averaged(self, objects: Objects, terms: Terms, noise: Tensor, others: Tensor) -> Surrogate:
        """The surrogate for logistic ``noise`` [B, M] of the decisions and ``others`` [J, B, M] of their copies."""
        logits = objects.logits.detach()
        b = (logits + noise > 0).to(logits)
        copies = given_decisions(b, logits, others) - logits
        soft = ((objects.logits + copies) / self.temperature()).sigmoid().mean(0)
        return self.decided(objects, terms, b + soft - soft.detach())
