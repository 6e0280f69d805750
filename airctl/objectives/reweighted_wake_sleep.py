"""Reweighted wake-sleep: the decoder climbs the importance-weighted bound, the inference network follows its posterior.

    w_k = p(x, z_k, n_k) / q(z_k, n_k | x),   w~_k = w_k / sum_j w_j,   k = 1..K
    loss = -sum_k w~_k [ log p(x, z_k, n_k) + log q(z_k, n_k | x) ]      with w~_k and z_k held fixed

Nothing is reparameterised and no score function is needed, so no baseline: q descends KL(p(z, n | x) || q(z, n | x)),
the other way round than under the ELBO. For the decoder it is unbiased for the bound of K samples (see ``vimco``). For
the inference network it is biased by the normalisation of the weights, of order 1 / K, and its objective is not the
ELBO. It costs K roll-outs and pastes each object twice. Bornschein & Bengio 2015 (the wake phases); Le et al. 2020.
"""

from __future__ import annotations

from torch import Tensor

from airctl.model import Objects
from airctl.objectives.importance import ImportanceWeighted, held, log_posterior, log_weights
from airctl.objectives.terms import Surrogate, Terms, at


class ReweightedWakeSleep(ImportanceWeighted):
    """The two wake phases, from one set of K = ``copies`` weighted samples."""

    reparameterised = False

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B K]."""
        log_w = at(log_weights(objects, terms), codewords).detach().unflatten(0, (-1, self.copies))
        weights = log_w.softmax(1).flatten()
        fixed = held(objects)
        decoder = at(terms.likelihood.codewords(fixed.canvas, fixed.layers, fixed.code), codewords)
        posterior = at(terms.log_q + fixed.code.sums(log_posterior(fixed)), codewords)
        loss = -(weights * (decoder + posterior)).sum() / len(log_w)
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())
