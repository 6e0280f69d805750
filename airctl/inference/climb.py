"""Gradient steps on the ELBO of explanations of a scene: what the inference network said is where they start.

The means and standard deviations of each hypothesis's q(z_where) and q(z_what) climb, on their own,

    bound = E_q log p(x | canvas) - sum_i (KL_where_i + KL_what_i)

Semi-amortised inference: Kim et al. 2018; Marino et al. 2018. The expectation needs its noise: at the means an object
would not pay for the spread of its q, and two would look cheaper than one. The constants were chosen on validation
scenes (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from airctl.model import AIR, Noise, paste
from airctl.model.posteriors import loc_and_sd, normal

STEPS = 20
LR_WHERE, LR_WHAT, LR_SD = 0.1, 0.2, 0.3  # of Adam; in units of z_where, z_what and the logarithm of their sd
PAIRS = 4  # of noise and its negative, the same for each scene and count: one a step, all of them for the last word


@dataclass(frozen=True)
class Hypotheses:
    """H explanations of each of R scenes by up to N objects: the parameters of q, and which objects are there."""

    where: Tensor  # [R, H, N, 3]
    what: Tensor  # [R, H, N, C]
    log_sd_where: Tensor  # [R, H, N, 3]
    log_sd_what: Tensor  # [R, H, N, C]
    there: Tensor  # bool [R, H, N]

    @classmethod
    def of(cls, parts: Iterable[Tensor], there: Tensor) -> Hypotheses:
        """From the parameters of q in their order."""
        where, what, log_sd_where, log_sd_what = parts
        return cls(where, what, log_sd_where, log_sd_what, there)

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The parameters of q."""
        return self.where, self.what, self.log_sd_where, self.log_sd_what


def climb(
    model: AIR, canvas: Tensor, start: Hypotheses, steps: int = STEPS, pairs: int = PAIRS
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean poses and contents of hypotheses about scenes ``canvas`` [R, D, D] after so many steps, and the bounds.

    [R, H, N, 3], [R, H, N, C] and, in nats, [R, H].
    A hypothesis without objects that are there has the bound -inf.
    """
    there = start.there
    scene, hypothesis, index = there.nonzero(as_tuple=True)  # the T objects that are there
    group = scene * there.shape[1] + hypothesis

    def sums(values: Tensor) -> Tensor:
        """Sums of ``values`` [T, ...] over the objects of a hypothesis, [R, H, ...]."""
        zeros = values.new_zeros(there.shape[0] * there.shape[1], *values.shape[1:])
        return zeros.index_add(0, group, values).unflatten(0, there.shape[:2])

    where, what, log_sd_where, log_sd_what = free = [part[there].clone().requires_grad_() for part in start.parts]

    def bound(noise: Noise) -> Tensor:
        q_where, q_what = normal(where, log_sd_where.exp()), normal(what, log_sd_what.exp())
        kl = kl_divergence(q_where, model.prior.where) + kl_divergence(q_what, model.prior.what)
        total = -sums(kl)
        for sign in (1, -1):
            z_where = q_where.mean + sign * loc_and_sd(q_where)[1] * noise.where[0, index]
            z_what = q_what.mean + sign * loc_and_sd(q_what)[1] * noise.what[0, index]
            drawn = sums(paste(model.decoder(z_what), z_where, canvas.shape[-1]))
            total = total + 0.5 * model.likelihood.log_prob(canvas[:, None], drawn)
        return total

    generator = torch.Generator(canvas.device).manual_seed(0)  # fixed: the same picture has the same answer
    noises = [model.noise(1, generator, there.shape[2]) for _ in range(pairs)]
    rates = (LR_WHERE, LR_WHAT, LR_SD, LR_SD)
    adam = torch.optim.Adam([{"params": [p], "lr": lr} for p, lr in zip(free, rates, strict=True)], betas=(0.8, 0.9))
    with torch.enable_grad():
        for step in range(steps):
            gradients = torch.autograd.grad(-bound(noises[step % pairs]).sum(), free)
            for tensor, gradient in zip(free, gradients, strict=True):
                tensor.grad = gradient  # of these alone: a second look leaves nothing in the model
            adam.step()
    with torch.no_grad():
        bounds = torch.stack([bound(noise) for noise in noises]).mean(0)

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.masked_scatter(there[..., None], new.detach())

    bounds = bounds.masked_fill(~there.any(2), -torch.inf)
    return put(start.where, where), put(start.what, what), bounds
