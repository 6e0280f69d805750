"""Sticking the landing: the exact ELBO with sampled log ratios, and no score of z_where and z_what in its gradient.

    ELBO = E_z sum_k q(k) [ log p(x | k) - sum_{i in k} log q(z_i) / p(z_i) + log p(k) - log q(k) ]
    gradient = its own, less that of -sum_i q(i in k) log q(z_i) at fixed z

What is left out is the score of q(z_i) times a number that z_i has no part in, so its mean is zero: unbiased for the
ELBO. What remains goes through the samples alone, and vanishes with every sample where q(z) is the posterior, where the
closed form of ``exact`` does not: the likelihood's noise is there without the ratio's that would cancel it. Elsewhere a
sampled ratio can be noisier than a closed form. It costs a second pass, which reads its samples as constants.
Roeder, Wu & Duvenaud 2017, section 3; with the codewords summed out, ours.
"""

from __future__ import annotations

import torch
from torch import nn

from airctl.model import Objects
from airctl.objectives.importance import fixed, log_posterior, log_weights
from airctl.objectives.terms import Estimator, Surrogate, Terms


class StickingTheLanding(Estimator):
    """Differentiate the ELBO through the samples of z_where and z_what alone."""

    def __init__(self) -> None:
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        score = terms.code.sums(log_posterior(fixed(objects)))
        q = terms.log_q.exp()
        each = q * log_weights(objects, terms) + q.detach() * score
        return Surrogate(-each.sum(1).mean(), each.new_zeros(()), terms.elbo.detach())
