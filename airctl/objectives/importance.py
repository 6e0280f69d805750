"""Importance weights of a roll-out, for the estimators that take several roll-outs of each scene."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.score_function import sample_codewords
from airctl.objectives.terms import Estimator, Surrogate, Terms


class ImportanceWeighted(Estimator):
    """An estimator that weighs K = ``copies`` roll-outs of each scene, each with a sampled count."""

    def __init__(self, copies: int) -> None:
        self.copies = copies
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.given(objects, terms, sample_codewords(terms, generator))

    @abstractmethod
    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B K]."""


def log_posterior(objects: Objects) -> Tensor:
    """log q(z_where_i, z_what_i | x, ...) at the objects' own samples, [B, M]."""
    where: Tensor = objects.q_where.log_prob(objects.z_where)
    what: Tensor = objects.q_what.log_prob(objects.z_what)
    return where + what


def log_prior(objects: Objects) -> Tensor:
    """log p(z_where_i, z_what_i) at the same samples, [B, M]."""
    where: Tensor = objects.p_where.log_prob(objects.z_where)
    what: Tensor = objects.p_what.log_prob(objects.z_what)
    return where + what


def log_weights(objects: Objects, terms: Terms) -> Tensor:
    """log p(x, z, k) - log q(z, k | x) for each codeword k at the sampled z_where and z_what of its objects.

    [B, K] in nats. The ELBO's bracket has the KL in closed form instead; a bound over several samples cannot.
    """
    ratio = terms.code.sums(log_prior(objects) - log_posterior(objects))
    return terms.log_likelihood + ratio + terms.log_p - terms.log_q
