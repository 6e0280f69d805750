"""The collapsed bound with sampled log ratios, and little score of z_where and z_what left in its gradient.

    log w(k) = log p(x | k) - sum_{i in k} log q(z_i) / p(z_i) + log p(k)
    loss = that of ``marginal`` with this w, less sum_i P_i log q(z_i) at fixed z,   P_i = q(i in k) held fixed

With log ratios the bound is below log p(x), which it need not be with the closed form. Its gradient has the score of
q(z_i) with the weight -pi_i, which must not be left out: pi_i depends on z_i. But P_i, which z_pres is taught to be
pi_i, does not, so P_i times the score has mean zero and can be added: unbiased for this bound, and the score is left
with the weight P_i - pi_i, nothing where the map knows what is there. Roeder, Wu & Duvenaud 2017 is the case
pi_i = P_i = 1; the weight is ours. It costs a second pass of the inference network.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from airctl.model import Objects
from airctl.objectives.concrete import Temperature
from airctl.objectives.importance import fixed, log_posterior, log_prior
from airctl.objectives.marginal import Marginal
from airctl.objectives.terms import Estimator, Surrogate, Terms


class MarginalPath(Estimator):
    """Differentiate the bound through the samples, as far as z_pres knows which of them are there."""

    def __init__(self, temperature: Temperature, weight: float) -> None:
        self.marginal = Marginal(temperature, weight)
        self.modules = self.marginal.modules

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        ratio = terms.code.sums(log_posterior(objects) - log_prior(objects))
        surrogate = self.marginal.expected(objects, replace(terms, kl=ratio))
        known = terms.log_q.detach().exp() @ terms.code.members.to(terms.log_q)  # [B, M] P_i
        score = (known * log_posterior(fixed(objects))).sum(1)
        return replace(surrogate, loss=surrogate.loss - score.mean(), elbo=terms.log_w.detach().logsumexp(1))
