"""RLOO: K sampled counts of each scene, each with the mean of the other K - 1 as its baseline.

    n_1..n_K ~ q(n | z_where, z_what),   f_k = the bracket of the ELBO at n_k
    gradient = 1/K sum_k [ grad (log p(x | canvas_{n_k}) - kl_{n_k}) + (f_k - mean_{j != k} f_j) grad log q(n_k) ]

Unbiased for the ELBO: given the objects the codewords are independent, so the others know nothing of the one they are a
baseline for. All K read one pass, which holds the likelihood of every codeword: K costs next to nothing, and what it
averages away is the variance from z_pres, not that from z_where and z_what. Kool, van Hoof & Welling 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airctl.batch import categories
from airctl.model import Objects
from airctl.objectives.terms import Estimator, Surrogate, Terms, at


class RLOO(Estimator):
    """The score function with leave-one-out means for a baseline."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        q = terms.log_q.detach().exp()
        return self.given(objects, terms, categories(q, self.samples, generator))

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B, K]."""
        signal = at(terms.bracket, codewords).detach()
        others = (signal.sum(1, keepdim=True) - signal) / (codewords.shape[1] - 1)
        score = (signal - others) * at(terms.log_q, codewords)
        path = at(terms.log_likelihood - terms.kl, codewords)
        return Surrogate(-(path + score).mean(), terms.elbo.new_zeros(()), terms.elbo.detach())

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        """The surrogate's mean over its K codewords, which are independent: the mean of the others is that of all."""
        q, signal = terms.log_q.detach().exp(), terms.bracket.detach()
        score = (signal - (q * signal).sum(1, keepdim=True)) * terms.log_q
        path = terms.log_likelihood - terms.kl
        return Surrogate(-(q * (path + score)).sum(1).mean(), terms.elbo.new_zeros(()), terms.elbo.detach())
