"""The contract of every gradient estimator, and the terms of the ELBO that they all share.

    ELBO = E_{z_where, z_what} sum_n q(n) [ log p(x | canvas_n) - kl_n + log p(n) - log q(n) ]

One roll-out gives the bracket for every n = 0..N at once. An estimator turns these terms into a surrogate: a scalar
whose gradient is (an estimate of) minus the gradient of the mean ELBO of the batch. Estimators differ in nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Rollout


@dataclass(frozen=True)
class CountTerms:
    """What each count n = 0..N would contribute, in nats a scene; [B, N + 1] where nothing else is said."""

    log_likelihood: Tensor  # log p(x | the first n objects)
    kl: Tensor  # KL of z_where and z_what, summed over the first n steps
    log_q: Tensor  # log q(n | x, z_where, z_what)
    log_p: Tensor  # [N + 1] log p(n)
    log_q_continue: Tensor  # [B, N] log q(z_pres_i = 1 | z_<i)
    log_q_stop: Tensor  # [B, N] log q(z_pres_i = 0 | z_<i)
    likelihood_sd: float  # of a pixel

    @classmethod
    def of(cls, log_likelihood: Tensor, kl: Tensor, logits: Tensor, log_p: Tensor, likelihood_sd: float) -> CountTerms:
        """From ``log_likelihood`` and ``kl`` [B, N + 1] as above and the ``logits`` [B, N] of z_pres.

        q(n) = (1 - p_{n+1}) prod_{i <= n} p_i, and prod_i p_i for n = N, all in log space.
        """
        log_continue, log_stop = F.logsigmoid(logits), F.logsigmoid(-logits)
        return cls(
            log_likelihood=log_likelihood,
            kl=kl,
            log_q=F.pad(log_continue.cumsum(1), (1, 0)) + F.pad(log_stop, (0, 1)),
            log_p=log_p.to(logits),
            log_q_continue=log_continue,
            log_q_stop=log_stop,
            likelihood_sd=likelihood_sd,
        )

    @cached_property
    def elbo_n(self) -> Tensor:
        """The bracket of the ELBO for each n, [B, N + 1]."""
        return self.log_likelihood - self.kl + self.log_p - self.log_q

    @cached_property
    def elbo(self) -> Tensor:
        """The ELBO with the count summed out, [B]; what is reported, whatever is differentiated."""
        return (self.log_q.exp() * self.elbo_n).sum(1)

    def detached(self) -> CountTerms:
        """The same numbers, which nothing can be learnt from."""
        return replace(
            self,
            log_likelihood=self.log_likelihood.detach(),
            kl=self.kl.detach(),
            log_q=self.log_q.detach(),
            log_q_continue=self.log_q_continue.detach(),
            log_q_stop=self.log_q_stop.detach(),
        )


@dataclass(frozen=True)
class Surrogate:
    """What is differentiated (``loss`` for the model, ``baseline_loss`` for a baseline) and what is reported."""

    loss: Tensor  # []
    baseline_loss: Tensor  # [] 0 without a learnt baseline
    elbo: Tensor  # [B] detached, nats a scene; one for each roll-out


class Estimator(Protocol):
    """From a roll-out and its terms to a surrogate. Randomness comes from ``generator`` only.

    ``modules`` holds what the estimator itself learns or remembers (a baseline), so that optimisers and checkpoints
    can take it along; most hold nothing. The other two say which roll-out it needs; ``roll_out`` makes it.
    """

    modules: nn.ModuleDict
    copies: int = 1  # independent roll-outs of each scene; scene b has the rows b * copies to (b + 1) * copies - 1
    reparameterised: bool = True  # whether gradients pass through the samples of z_where and z_what

    def __call__(self, rollout: Rollout, terms: CountTerms, generator: torch.Generator) -> Surrogate: ...

    def expected(self, rollout: Rollout, terms: CountTerms) -> Surrogate | None:
        """The surrogate's mean over what the estimator samples given the roll-out, if that can be enumerated."""
        return None


def count_terms(rollout: Rollout, log_p: Tensor, likelihood_sd: float) -> CountTerms:
    """The terms of a roll-out under the count prior ``log_p`` [N + 1] and a Gaussian pixel likelihood."""
    kl = F.pad((rollout.kl_where + rollout.kl_what).cumsum(1), (1, 0))
    # One object after the other is taken off the scene: a pass over its pixels for each, whatever came before.
    rest = rollout.canvas.flatten(1)
    squares = [torch.linalg.vecdot(rest, rest)]
    for drawn in rollout.pasted.flatten(2).unbind(1):
        rest = rest - drawn
        squares.append(torch.linalg.vecdot(rest, rest))
    log_likelihood = log_density(torch.stack(squares, 1), rest.shape[1], likelihood_sd)
    return CountTerms.of(log_likelihood, kl, rollout.logits, log_p, likelihood_sd)


def log_density(squares: Tensor, pixels: int, sd: float) -> Tensor:
    """The log density, nats, of a scene of ``pixels`` whose canvas misses it by a squared error of ``squares``."""
    return -0.5 * squares / sd**2 - pixels * math.log(sd * math.sqrt(2 * math.pi))


def at(values: Tensor, counts: Tensor) -> Tensor:
    """values[b, counts[b, ...]] of ``values`` [B, N + 1] for ``counts`` [B] or [B, K], in the shape of ``counts``."""
    return values.gather(1, counts.flatten(1) if counts.dim() > 1 else counts[:, None]).reshape(counts.shape)
