"""MuProp: the score function, with the first-order expansion of the relaxed ELBO around its mean as control variate.

    p = sigmoid(logits),   h(b) = c(p) + c'(p) (b - p),   b_i ~ Bernoulli(p_i)
    slope_i = [f(b) - h(b)] (b_i - p_i) + c'(p)_i p_i (1 - p_i)

f is the bracket of the ELBO at the codeword that the independent decisions b lead to, c the same with objects as far
there as decisions say (``concrete.relaxed_terms``), and slope_i estimates d ELBO / d logit_i. h is linear in b, so its
part is put back exactly: unbiased for the ELBO, whatever c is. One sample, one more likelihood and its gradient to M
numbers. Gu et al. 2016, whose centring by a learnt baseline is left out.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.concrete import logistic, relaxed_terms
from airctl.objectives.terms import Estimator, Surrogate, Terms, at


class MuProp(Estimator):
    """The score function less its linear part around the mean-field canvas, and that part's own gradient."""

    def __init__(self) -> None:
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        bits = objects.logits.detach() + logistic(objects.logits, generator) > 0
        return self.given(objects, terms, bits.to(objects.logits))

    def given(self, objects: Objects, terms: Terms, bits: Tensor) -> Surrogate:
        """The surrogate for sampled decisions ``bits`` [B, M] of 0 and 1, the ones after the first 0 included."""
        codewords = terms.code.weights(bits).argmax(1)
        p = objects.logits.detach().sigmoid()
        value, derivative = expansion(objects, terms, p)
        off = bits - p
        linear = value + (derivative * off).sum(1)
        slope = self.slope(at(terms.bracket.detach(), codewords) - linear, off, derivative * p * (1 - p))
        path = at(terms.log_likelihood - terms.kl, codewords)
        loss = -(path + (slope * objects.logits).sum(1)).mean()
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())

    def slope(self, rest: Tensor, off: Tensor, put_back: Tensor) -> Tensor:
        """From ``rest`` f - h [B], the score ``off`` b - p and ``put_back``, the mean of h's part, [B, M] each."""
        return rest[:, None] * off + put_back


def expansion(objects: Objects, terms: Terms, p: Tensor) -> tuple[Tensor, Tensor]:
    """The relaxed ELBO at presence ``p`` [B, M] of the decisions, nats [B], and its derivative there, [B, M]."""
    kl_where, kl_what = objects.kl_where.detach(), objects.kl_what.detach()
    held = replace(objects, layers=objects.layers.detach(), kl_where=kl_where, kl_what=kl_what)
    terms = terms.detached()
    with torch.enable_grad():
        decided = p.detach().requires_grad_()
        count = (terms.code.weights(decided) * (terms.log_p - terms.log_q)).sum(1)
        value = relaxed_terms(held, terms, terms.code.presence(decided)) + count
        (derivative,) = torch.autograd.grad(value.sum(), decided)
    return value.detach(), derivative
