"""Importance weights of a roll-out, for the estimators that take several roll-outs of each scene."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Rollout
from airctl.model.priors import LatentPrior
from airctl.objectives.score_function import sample_counts
from airctl.objectives.terms import CountTerms, Estimator, Surrogate


class ImportanceWeighted(Estimator):
    """An estimator that weighs K = ``copies`` roll-outs of each scene, each with a sampled count."""

    def __init__(self, prior: LatentPrior, copies: int) -> None:
        self.prior, self.copies = prior, copies
        self.modules = nn.ModuleDict({"prior": prior})  # it has buffers, which must be where the model is

    def __call__(self, rollout: Rollout, terms: CountTerms, generator: torch.Generator) -> Surrogate:
        return self.given(rollout, terms, sample_counts(terms, generator))

    @abstractmethod
    def given(self, rollout: Rollout, terms: CountTerms, counts: Tensor) -> Surrogate:
        """The surrogate for sampled ``counts`` [B K]."""


def log_posterior(rollout: Rollout) -> Tensor:
    """log q(z_where_i, z_what_i | x, z_<i) at the roll-out's own samples, [B, N]."""
    where = rollout.q_where.log_prob(rollout.z_where).sum(-1)
    return where + rollout.q_what.log_prob(rollout.z_what).sum(-1)


def log_weights(rollout: Rollout, terms: CountTerms, prior: LatentPrior) -> Tensor:
    """log p(x, z, n) - log q(z, n | x) for each n = 0..N at the sampled z_where and z_what of the first n steps.

    [B, N + 1] in nats. The ELBO's bracket has the KL in closed form instead; a bound over several samples cannot.
    """
    where = prior.where.log_prob(rollout.z_where).sum(-1)
    ratio = where + prior.what(rollout.z_what).log_prob(rollout.z_what).sum(-1) - log_posterior(rollout)
    return terms.log_likelihood + F.pad(ratio.cumsum(1), (1, 0)) + terms.log_p - terms.log_q
