"""The report's reward for the score function: the log likelihood alone, without the KL, and an additive constant c.

    R = log p(x | canvas_n) + c
    gradient = grad f_n + sum_{i <= min(n+1, N)} R grad log q(z_i | z_<i)

with f_n = log p(x | canvas_n) - kl_n (the path-wise part). Without a baseline, as in row 2 of the report's Table 1, its
mean is sum_n q(n) grad f_n + sum_n log p(x | canvas_n) grad q(n): biased for the ELBO, as kl_n, log p(n) and log q(n)
are no part of what z_pres is taught by, so that a needless step costs it nothing. c drops out of that mean, since
sum_n grad q(n) = 0, and not out of the variance. Drelich 2019, sections 4.4 and 5.

With the report's own baseline C = sum_i f(h_i) z_i (``NeuralBaseline`` with mask "current") c matters: an empty scene
has C = 0, and f learns c along with the rest. log p has the Gaussian's normaliser in it, -D^2 log(sd sqrt(2 pi)), which
is +712.6 nats at D = 50, sd = 0.3: with c = -712.6 the reward is the plain -|x - canvas_n|^2 / (2 sd^2). Which of the
two the report's code had is not known.
"""

from __future__ import annotations

from torch import Tensor

from airctl.objectives.terms import Terms, at


def likelihood_signal(terms: Terms, codewords: Tensor, constant: float = 0.0) -> Tensor:
    """log p(x | codeword) + ``constant``, nats, for all decisions of the sampled ``codewords`` [B] alike, [B, M]."""
    return (at(terms.log_likelihood, codewords) + constant)[:, None].expand_as(terms.log_present)
