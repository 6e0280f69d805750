"""The contract of every gradient estimator, and the terms of the ELBO that they all share.

    ELBO = E_{z_where, z_what} sum_n q(n) [ log p(x | canvas_n) - kl_n + log p(n) - log q(n) ]

One roll-out gives the bracket for every n = 0..N at once. An estimator turns these terms into a surrogate: a scalar
whose gradient is (an estimate of) minus the gradient of the mean ELBO of the batch. Estimators differ in nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Rollout


@dataclass(frozen=True)
class CountTerms:
    """What each count n = 0..N would contribute, in nats a scene; all [B, N + 1] but ``log_p``."""

    log_likelihood: Tensor  # log p(x | the first n objects)
    kl: Tensor  # KL of z_where and z_what, summed over the first n steps
    log_q: Tensor  # log q(n | x, z_where, z_what)
    log_p: Tensor  # [N + 1] log p(n)
    log_q_continue: Tensor  # [B, N] log q(z_pres_i = 1 | z_<i)
    log_q_stop: Tensor  # [B, N] log q(z_pres_i = 0 | z_<i)

    @cached_property
    def elbo_n(self) -> Tensor:
        """The bracket of the ELBO for each n, [B, N + 1]."""
        return self.log_likelihood - self.kl + self.log_p - self.log_q

    @cached_property
    def elbo(self) -> Tensor:
        """The ELBO with the count summed out, [B]; what is reported, whatever is differentiated."""
        return (self.log_q.exp() * self.elbo_n).sum(1)


@dataclass(frozen=True)
class Surrogate:
    """What is differentiated (``loss`` for the model, ``baseline_loss`` for a baseline) and what is reported."""

    loss: Tensor  # []
    baseline_loss: Tensor  # [] 0 without a learnt baseline
    elbo: Tensor  # [B] detached, nats a scene


class Estimator(Protocol):
    """From a roll-out and its terms to a surrogate. Randomness comes from ``generator`` only.

    ``modules`` holds what the estimator itself learns or remembers (a baseline), so that optimisers and checkpoints
    can take it along; most hold nothing.
    """

    modules: nn.ModuleDict

    def __call__(self, rollout: Rollout, terms: CountTerms, generator: torch.Generator) -> Surrogate: ...


def squared_errors(canvas: Tensor, pasted: Tensor) -> Tensor:
    """|| x - (the first n pasted objects) ||^2 for n = 0..N, [B, N + 1], without making the N + 1 canvases.

    For v_n = (1, -1, ..., -1, 0, ...) with n times -1 it is v_n' G v_n, G the inner products of x and the pasted
    objects: one small matrix product instead of several passes over [B, N + 1, D, D].
    """
    images = torch.cat([canvas[:, None], pasted], 1).flatten(2)  # [B, N + 1, D * D]
    products = images @ images.transpose(1, 2)  # [B, N + 1, N + 1]
    signs = -torch.ones_like(products[0]).tril()
    signs[:, 0] = 1
    return ((signs @ products) * signs).sum(-1)


def count_terms(rollout: Rollout, log_p: Tensor, likelihood_sd: float) -> CountTerms:
    """The terms of a roll-out under the count prior ``log_p`` [N + 1] and a Gaussian pixel likelihood.

    q(n) = (1 - p_{n+1}) prod_{i <= n} p_i, and prod_i p_i for n = N, all in log space.
    """
    squares = squared_errors(rollout.canvas, rollout.pasted)
    pixels = rollout.canvas[0].numel()
    log_continue, log_stop = F.logsigmoid(rollout.logits), F.logsigmoid(-rollout.logits)
    return CountTerms(
        log_likelihood=-0.5 * squares / likelihood_sd**2 - pixels * math.log(likelihood_sd * math.sqrt(2 * math.pi)),
        kl=F.pad((rollout.kl_where + rollout.kl_what).cumsum(1), (1, 0)),
        log_q=F.pad(log_continue.cumsum(1), (1, 0)) + F.pad(log_stop, (0, 1)),
        log_p=log_p.to(rollout.logits),
        log_q_continue=log_continue,
        log_q_stop=log_stop,
    )
