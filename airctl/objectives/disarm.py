"""DisARM, and ARM as its plain form: the score function on two samples that share their noise, one the other's mirror.

    l_i standard logistic,   b_i = 1 if logit_i + l_i > 0,   b~_i = 1 if logit_i - l_i > 0,   v_i = sigmoid(l_i)
    ARM:     slope_i = [f(b) - f(b~)] (v_i - 1/2)
    DisARM:  slope_i = [f(b) - f(b~)] / 2 (b_i - b~_i) sigmoid(|logit_i|)

f is the bracket of the ELBO at the codeword that the independent decisions lead to, and slope_i estimates
d ELBO / d logit_i. Both are unbiased for the ELBO, without a baseline. DisARM is ARM's mean given b and b~, so its
variance is at most ARM's. For the unary code a decision that neither sample reaches has a slope of mean zero, as it
changes neither f: it is left out, which is ours. Each of the two is a sample of q, so the path-wise part is the mean of
theirs. Two likelihoods, both of one roll-out. Dong, Mnih & Tucker 2020; Yin & Zhou 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.concrete import logistic
from airctl.objectives.terms import Estimator, Surrogate, Terms, at


class DisARM(Estimator):
    """Two antithetic samples of the decisions; ``plain`` leaves their shared noise in, which is ARM."""

    def __init__(self, plain: bool = False) -> None:
        self.plain = plain
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.given(objects, terms, logistic(objects.logits, generator))

    def given(self, objects: Objects, terms: Terms, noise: Tensor) -> Surrogate:
        """The surrogate for logistic ``noise`` [B, M]."""
        logits = objects.logits.detach()
        pair = [(logits + side * noise > 0).to(logits) for side in (1, -1)]
        codewords = [terms.code.weights(bits).argmax(1) for bits in pair]
        f, mirrored = (at(terms.bracket.detach(), codeword) for codeword in codewords)
        each = noise.sigmoid() - 0.5 if self.plain else 0.5 * (pair[0] - pair[1]) * logits.abs().sigmoid()
        slope = self.reached(terms, codewords) * (f - mirrored)[:, None] * each  # [B, M]
        path = sum(at(terms.log_likelihood - terms.kl, codeword) for codeword in codewords) / 2
        loss = -(path + (slope * objects.logits).sum(1)).mean()
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())

    def reached(self, terms: Terms, codewords: list[Tensor]) -> Tensor:
        """Which decisions are taken on the way to either of two ``codewords`` [B], [B, M]."""
        one, other = (terms.code.decisions(codeword)[0] for codeword in codewords)
        return one | other
