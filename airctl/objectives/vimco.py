"""VIMCO: the importance-weighted bound over K roll-outs of each scene, with a baseline for each from the others.

    L = E log 1/K sum_k w_k,   w_k = p(x, z_k, n_k) / q(z_k, n_k | x)
    gradient = grad log 1/K sum_k w_k (z_k reparameterised) + sum_k (L^ - L^_{-k}) grad log q(n_k)

L^ is the sampled bound, and L^_{-k} the same with log w_k replaced by the mean of the others' log weights. Unbiased for
L, which is at least the ELBO and another objective: against the ELBO it has a bias. It costs K roll-outs.
Mnih & Rezende 2016, section 2.3; the path-wise part is that of Burda et al. 2016.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from airctl.model import Objects
from airctl.objectives.importance import ImportanceWeighted, log_weights
from airctl.objectives.terms import Surrogate, Terms, at


class VIMCO(ImportanceWeighted):
    """Climb the bound of K = ``copies`` importance weights."""

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B K]."""
        log_w = at(log_weights(objects, terms), codewords).unflatten(0, (-1, self.copies))  # [B, K]
        log_q = at(terms.log_q, codewords).unflatten(0, (-1, self.copies))
        bound = bound_of(log_w)
        score = (bound[:, None] - without_each(log_w)).detach() * log_q
        return Surrogate(-(bound + score.sum(1)).mean(), bound.new_zeros(()), terms.elbo.detach())


def bound_of(log_w: Tensor) -> Tensor:
    """log 1/K sum_k w_k, [B, K] -> [B]."""
    return log_w.logsumexp(1) - math.log(log_w.shape[1])


def without_each(log_w: Tensor) -> Tensor:
    """The bound with each log weight in turn replaced by the mean of the others', [B, K] -> [B, K]."""
    copies = log_w.shape[1]
    others = (log_w.sum(1, keepdim=True) - log_w) / (copies - 1)
    itself = torch.eye(copies, dtype=torch.bool, device=log_w.device)
    return torch.where(itself, others[:, :, None], log_w[:, None]).logsumexp(2) - math.log(copies)
