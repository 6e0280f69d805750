"""The codewords summed out with their exact weights: the collapsed bound, and a map that is taught what the sum found.

    log w(k) = log p(x | k) - kl_k + log p(k),    pi(k) = w(k)^(1/T) / sum w^(1/T),    pi_i = sum of pi(k) over k with i
    loss = -mean_b T log sum_k w(k)^(1/T)  +  weight * sum_i BCE(logit_i, pi_i)      with pi_i held fixed

At T = 1 the first term is minus log sum_k w(k). Its mean over z is below log p(x) if kl_k is the log ratio at the
samples; the KL in closed form, which is used because it is less noisy, can take it a little above where several
codewords are about as probable. Each object is taught with its posterior weight pi_i, and q(z_pres) plays no part in
it. The logits, which choose where to look, are taught by cross-entropy alone. T falls from above 1: a posterior that is
exact from the first step on has no reason to draw anything. Nothing is sampled but z_where and z_what. docs/subsets.md
has the derivation; summing discrete latents out by their posterior is Rao-Blackwellised wake-sleep (Bornschein & Bengio
2015) taken to its end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.concrete import Temperature
from airctl.objectives.terms import Estimator, Surrogate, Terms


class Marginal(Estimator):
    """Differentiate the tempered collapsed bound, and teach the logits its posterior."""

    def __init__(self, temperature: Temperature, weight: float) -> None:
        self.temperature, self.weight = temperature, weight
        self.modules = nn.ModuleDict({"temperature": temperature})

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.expected(objects, terms)

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        """Itself: nothing is sampled given the objects."""
        temperature, log_w = self.temperature(), terms.log_w
        bound = temperature * (log_w / temperature).logsumexp(1)
        present = presence(terms, temperature)
        taught = F.binary_cross_entropy_with_logits(objects.logits, present, reduction="none").sum(1)
        loss = (self.weight * taught - bound).mean()
        return Surrogate(loss, loss.new_zeros(()), log_w.detach().logsumexp(1))


def presence(terms: Terms, temperature: float = 1.0) -> Tensor:
    """pi_i, the posterior probability that object i is there, [B, M]; a constant."""
    posterior = (terms.log_w.detach() / temperature).softmax(1)
    return (posterior @ terms.code.members.to(posterior)).clamp(0, 1)
