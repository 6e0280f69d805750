"""REBAR: the score function, with the Concrete relaxation as a control variate that is put back without a bias.

    b_i = 1 if u_i > 0,  u_i = logit_i + l_i;   u~ ~ p(u | b);   c(u) = the relaxed ELBO at sigmoid(u / temperature)
    gradient of the logits = [f(n(b)) - eta c(u~)] grad log q(b) + eta grad c(u) - eta grad c(u~)

n(b) counts the leading ones, f is the bracket of the ELBO, and u~ has noise that would have led to the same b. In
expectation the three terms with eta cancel for any eta and temperature, so it is unbiased for the ELBO. Both are learnt
by descending the square of that gradient, the only part of its variance that they move. Two more likelihoods, and a
gradient through them to N numbers. Tucker et al. 2017; for the conditional noise their appendix C.

The gradient of the logits is found on a copy of them, and handed to the model as a fixed number: c teaches the model
nothing else, as its gradient in the objects has mean zero and would only add variance. For the unary code a decision
that was not reached has a slope of mean zero, given those before it: it is left out, which is ours.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.concrete import logistic, relaxed_terms
from airctl.objectives.terms import Estimator, Surrogate, Terms, at


class Control(nn.Module):
    """The size eta and the temperature of the control variate."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.eta = nn.Parameter(torch.ones(()))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))


class Rebar(Estimator):
    """The score function with a relaxed control variate."""

    def __init__(self, temperature: float) -> None:
        self.control = Control(temperature)
        self.modules = nn.ModuleDict({"control": self.control})

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.given(objects, terms, logistic(objects.logits, generator), logistic(objects.logits, generator))

    def given(self, objects: Objects, terms: Terms, noise: Tensor, other: Tensor) -> Surrogate:
        """The surrogate for logistic ``noise`` of the decisions and ``other`` of their conditional copies, [B, N]."""
        codewords = terms.code.weights((objects.logits + noise > 0).to(noise)).argmax(1)
        slope = terms.code.decisions(codewords)[0] * self.slope(objects, terms, noise, other)
        path = at(terms.log_likelihood - terms.kl, codewords)
        loss = -(path + (slope.detach() * objects.logits).sum(1)).mean()
        return Surrogate(loss, slope.square().sum(1).mean(), terms.elbo.detach())

    def slope(self, objects: Objects, terms: Terms, noise: Tensor, other: Tensor) -> Tensor:
        """The estimate of d ELBO / d logits, [B, N], differentiable in eta and the temperature while these learn."""
        kl_where, kl_what = objects.kl_where.detach(), objects.kl_what.detach()
        objects = replace(objects, layers=objects.layers.detach(), kl_where=kl_where, kl_what=kl_what)
        terms = terms.detached()
        with torch.enable_grad():
            logits = objects.logits.detach().requires_grad_()
            decided = logits + noise
            b = (decided > 0).to(logits)
            f = at(terms.bracket, terms.code.weights(b).argmax(1))
            conditional = self.relaxed(objects, terms, given_decisions(b, logits, other))
            difference = self.relaxed(objects, terms, decided) - conditional
            (through,) = torch.autograd.grad(difference.sum(), logits, create_graph=self.modules.training)
            eta, score = self.control.eta, b - logits.detach().sigmoid()
            slope: Tensor = (f - eta * conditional)[:, None] * score + eta * through
        return slope

    def relaxed(self, objects: Objects, terms: Terms, decided: Tensor) -> Tensor:
        """c(u) for ``decided`` u [B, N] -> [B], nats; at b of 0 and 1 it is f(n(b))."""
        soft = (decided / self.control.log_temperature.exp()).sigmoid()
        count = (terms.code.weights(soft) * (terms.log_p - terms.log_q)).sum(1)
        return relaxed_terms(objects, terms, terms.code.presence(soft)) + count


def given_decisions(b: Tensor, logits: Tensor, noise: Tensor) -> Tensor:
    """u~ ~ p(u | b) for decisions ``b`` [B, N] from logistic ``noise``: above 0 where b = 1, below 0 elsewhere."""
    return torch.where(b > 0, F.softplus(noise + F.softplus(logits)), -F.softplus(-noise + F.softplus(-logits)))
