"""Reweighted wake-sleep: the decoder climbs the importance-weighted bound, the inference network follows its posterior.

    w_k = p(x, z_k, n_k) / q(z_k, n_k | x),   w~_k = w_k / sum_j w_j,   k = 1..K
    loss = -sum_k w~_k [ log p(x, z_k, n_k) + log q(z_k, n_k | x) ]      with w~_k and z_k held fixed

Nothing is reparameterised and no score function is needed, so no baseline: q descends KL(p(z, n | x) || q(z, n | x)),
the other way round than under the ELBO. For the decoder it is unbiased for the bound of K samples (see ``vimco``). For
the inference network it is biased by the normalisation of the weights, of order 1 / K, and its objective is not the
ELBO. It costs K roll-outs and pastes each object twice. Bornschein & Bengio 2015 (the wake phases); Le et al. 2020.
"""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from airctl.model import Rollout, paste
from airctl.objectives.importance import ImportanceWeighted, log_posterior, log_weights
from airctl.objectives.terms import CountTerms, Surrogate, at, count_terms


class ReweightedWakeSleep(ImportanceWeighted):
    """The two wake phases, from one set of K = ``copies`` weighted samples."""

    reparameterised = False

    def given(self, rollout: Rollout, terms: CountTerms, counts: Tensor) -> Surrogate:
        """The surrogate for sampled ``counts`` [B K]."""
        log_w = at(log_weights(rollout, terms, self.prior), counts).detach().unflatten(0, (-1, self.copies))
        weights = log_w.softmax(1).flatten()
        decoder = at(count_terms(held(rollout), terms.log_p, terms.likelihood_sd).log_likelihood, counts)
        posterior = at(terms.log_q + F.pad(log_posterior(held(rollout)).cumsum(1), (1, 0)), counts)
        loss = -(weights * (decoder + posterior)).sum() / len(log_w)
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())


def held(rollout: Rollout) -> Rollout:
    """The same roll-out, with its samples as constants: a likelihood then teaches the decoder alone."""
    z_where, z_what = rollout.z_where.detach(), rollout.z_what.detach()
    pasted = paste(rollout.objects.flatten(0, 1), z_where.flatten(0, 1), rollout.canvas.shape[-1])
    return replace(rollout, z_where=z_where, z_what=z_what, pasted=pasted.unflatten(0, z_where.shape[:2]))
