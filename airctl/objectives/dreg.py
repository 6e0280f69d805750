"""DReG: VIMCO's bound, with the path-wise gradient of z_where and z_what doubly reparameterised.

    w_k = p(x, z_k, n_k) / q(z_k, n_k | x),   w~_k = w_k / sum_j w_j,   k = 1..K
    gradient = sum_k [ w~_k^2 path(log w_k) + w~_k grad log p(x, z_k, n_k) + (L^ - L^_{-k} - w~_k) grad log q(n_k) ]

path is the gradient through the samples z alone; the second one is at fixed samples, and teaches the decoder. In
``vimco`` there are w~_k path(log w_k) and a score, -w~_k grad log q(z_k) at fixed z. The mean of that score is a
path-wise gradient too, -w~_k (1 - w~_k) path(log w_k) - w~_k path(log q(n_k)): put in its place, it gives the above,
with the same mean and less noise the better q is, where VIMCO's drowns as K grows. The term in log q(n_k) is ours: the
paper has no discrete latent that hangs on z. Unbiased for VIMCO's bound, and so biased for the ELBO. K roll-outs, and K
more that read their samples as constants. Tucker et al. 2019, section 4; Bauer & Mnih 2021 for z that hang on earlier
ones.
"""

from __future__ import annotations

from torch import Tensor

from airctl.model import Objects
from airctl.objectives.importance import fixed, fixed_terms, log_prior, log_weights
from airctl.objectives.terms import Surrogate, Terms, at
from airctl.objectives.vimco import VIMCO, bound_of, without_each


class DReG(VIMCO):
    """Climb the bound of K = ``copies`` importance weights, through the samples alone."""

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B K]."""

        def each(values: Tensor) -> Tensor:
            found: Tensor = at(values, codewords).unflatten(0, (-1, self.copies))  # [B, K]
            return found

        held = fixed(objects)
        still = fixed_terms(held, terms)
        log_w = each(log_weights(objects, terms))
        joint = each(still.log_likelihood + still.code.sums(log_prior(held)) + still.log_p)
        path = log_w - each(log_weights(held, still))  # 0, with the gradient through the samples alone
        weights, bound = log_w.detach().softmax(1), bound_of(log_w)
        credit = (bound[:, None] - without_each(log_w)).detach() - weights
        total = weights.square() * path + weights * joint + credit * each(terms.log_q)
        return Surrogate(-total.sum(1).mean(), bound.new_zeros(()), terms.elbo.detach())
