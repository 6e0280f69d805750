"""The contract of every gradient estimator, and the terms of the ELBO that they all share.

    ELBO = E_{z_where, z_what} sum_k q(k) [ log p(x | k) - kl_k + log p(k) - log q(k) ]

k runs over the codewords of the model's code (``airctl.model.codes``): the counts n = 0..N of the unary code. One pass
of the network gives the bracket for all of them at once. An estimator turns these terms into a surrogate: a scalar
whose gradient is (an estimate of) minus the gradient of the mean ELBO of the batch. Estimators differ in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import AIR, Code, Likelihood, Objects


@dataclass(frozen=True)
class Terms:
    """What each codeword k would contribute, in nats per scene; [B, K] where nothing else is said."""

    code: Code
    log_likelihood: Tensor  # log p(x | the objects of k)
    kl: Tensor  # KL of z_where and z_what, summed over the objects of k
    log_q: Tensor  # log q(k | x, z_where, z_what)
    log_p: Tensor  # [K] log p(k)
    log_present: Tensor  # [B, M] log q(z_pres_i = 1), given that decision i is taken
    log_absent: Tensor  # [B, M] log q(z_pres_i = 0)
    likelihood: Likelihood

    @classmethod
    def of(
        cls, code: Code, log_likelihood: Tensor, kl: Tensor, logits: Tensor, log_p: Tensor, likelihood: Likelihood
    ) -> Terms:
        """From ``log_likelihood``, ``kl`` [B, K] and ``log_p`` [K] as above and the ``logits`` [B, M] of z_pres."""
        return cls(
            code=code,
            log_likelihood=log_likelihood,
            kl=kl,
            log_q=code.log_q(logits),
            log_p=log_p.to(logits),
            log_present=F.logsigmoid(logits),
            log_absent=F.logsigmoid(-logits),
            likelihood=likelihood,
        )

    @cached_property
    def bracket(self) -> Tensor:
        """The bracket of the ELBO for each codeword, [B, K]."""
        return self.log_likelihood - self.kl + self.log_p - self.log_q

    @cached_property
    def elbo(self) -> Tensor:
        """The ELBO with the codewords summed out, [B]; what is reported, whatever is differentiated."""
        return (self.log_q.exp() * self.bracket).sum(1)

    @cached_property
    def log_w(self) -> Tensor:
        """log p(x, k) less the KL of its objects, [B, K]: the weights of the exact posterior over the codewords."""
        return self.log_likelihood - self.kl + self.log_p

    @cached_property
    def log_count(self) -> Tensor:
        """log q(n | x, z_where, z_what) for n = 0..M, [B, M + 1]."""
        return self.code.by_count(self.log_q)

    def detached(self) -> Terms:
        """The same numbers, which nothing can be learnt from."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        held: dict[str, Any] = {name: v.detach() if isinstance(v, Tensor) else v for name, v in values.items()}
        return Terms(**held)


@dataclass(frozen=True)
class Surrogate:
    """What is differentiated (``loss`` for the model, ``baseline_loss`` for a baseline) and what is reported."""

    loss: Tensor  # []
    baseline_loss: Tensor  # [] 0 without a learnt baseline
    elbo: Tensor  # [B] detached, nats per scene; one for each pass


class Estimator(Protocol):
    """From objects and their terms to a surrogate. Randomness comes from ``generator`` only, by ``airctl.batch``.

    Its losses are means over the scenes of a batch, which several processes may share: what else is kept of a batch is
    kept of all its rows (``airctl.batch.whole``).

    ``modules`` holds what the estimator itself learns or remembers (a baseline), so that optimisers and checkpoints
    can take it along; most hold nothing. The other two say which pass it needs; ``observe`` makes it.
    """

    modules: nn.ModuleDict
    copies: int = 1  # independent passes over each scene; scene b has the rows b * copies to (b + 1) * copies - 1
    reparameterised: bool = True  # whether gradients pass through the samples of z_where and z_what

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate: ...

    def expected(self, objects: Objects, terms: Terms) -> Surrogate | None:
        """The surrogate's mean over what the estimator samples given the objects, if that can be enumerated."""
        return None


def observe(
    model: AIR, canvas: Tensor, estimator: Estimator, generator: torch.Generator, step: int | None = None
) -> Objects:
    """The objects of scenes ``canvas`` [B, D, D] as ``estimator`` needs them: so many passes, with gradients or not.

    At training step ``step`` a network that chooses where to look explores as that step asks for.
    """
    noise = model.noise(len(canvas) * estimator.copies, generator)
    if step is not None:
        repeated = canvas.repeat_interleave(estimator.copies, 0) if estimator.copies > 1 else canvas
        noise = replace(noise, scores=model.network.explore(repeated, generator, step))
    objects: Objects = model(canvas, noise, held=not estimator.reparameterised)
    return objects


def terms_of(objects: Objects, log_count: Tensor, likelihood: Likelihood) -> Terms:
    """The terms of ``objects`` under the count prior ``log_count`` = log p(n) [M + 1]."""
    code = objects.code
    kl = code.sums(objects.kl_where + objects.kl_what)
    log_likelihood = likelihood.codewords(objects.canvas, objects.layers, code)
    return Terms.of(code, log_likelihood, kl, objects.logits, code.log_p(log_count), likelihood)


def at(values: Tensor, codewords: Tensor) -> Tensor:
    """values[b, codewords[b, ...]] of ``values`` [B, K] for ``codewords`` [B] or [B, J], in the shape of the latter."""
    return values.gather(1, codewords.flatten(1) if codewords.dim() > 1 else codewords[:, None]).reshape(
        codewords.shape
    )
