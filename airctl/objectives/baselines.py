"""Baselines for the score function: what is subtracted from the learning signal of decision i, [B, N].

A baseline leaves the mean gradient alone if it does not depend on the decision it is subtracted for. None of them
sends a gradient into the model: they read detached values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from airctl.batch import whole
from airctl.model import Objects
from airctl.model.networks import Cell, mlp


class Baseline(nn.Module, ABC):
    """A prediction of the learning signal; subclasses that learn from what they see override ``observe``."""

    def forward(self, objects: Objects, codewords: Tensor) -> Tensor:
        """Predictions [B, M] for the decisions of sampled ``codewords`` [B], in nats."""
        return self.given(self.read(objects), objects.code.decisions(codewords)[1])

    @abstractmethod
    def read(self, objects: Objects) -> Tensor:
        """What it makes of the roll-out, whatever the count, [B, N]."""

    def given(self, read: Tensor, present: Tensor) -> Tensor:
        """The predictions [B, M] where the decisions ``present`` [B, M] came out as 1, from what was ``read``."""
        return read

    def observe(self, signal: Tensor, drawn: Tensor) -> None:
        """See the signals [B, N] of the decisions ``drawn`` [B, N], after predicting them; only in training mode."""


class NoBaseline(Baseline):
    """Nothing is subtracted."""

    def read(self, objects: Objects) -> Tensor:
        return torch.zeros_like(objects.logits)


class MovingAverage(Baseline):
    """The mean signal of each decision over past batches, decaying; Mnih & Gregor 2014, section 2.3."""

    def __init__(self, num_steps: int, decay: float = 0.9) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(num_steps))
        self.register_buffer("seen", torch.zeros(num_steps))  # weight of what ``mean`` holds; removes the start's bias
        self.mean: Tensor
        self.seen: Tensor

    def read(self, objects: Objects) -> Tensor:
        return (self.mean / self.seen.clamp_min(1e-12)).expand_as(objects.logits)

    @torch.no_grad()
    def observe(self, signal: Tensor, drawn: Tensor) -> None:
        if self.training:
            signal, drawn = whole(signal), whole(drawn)
            number = drawn.sum(0)
            batch_mean = (drawn * signal).sum(0) / number.clamp_min(1)
            keep = torch.where(number > 0, self.decay, 1.0)
            self.mean.mul_(keep).add_((1 - keep) * batch_mean)
            self.seen.mul_(keep).add_(1 - keep)


class NeuralBaseline(Baseline):
    """A second LSTM over the scene and the latents so far, with detached inputs, trained by squared error.

    ``mask="previous"``: baseline_i = f(x, z_<i), which counts only where z_pres_{i-1} = 1, as decision i is drawn only
    there; unbiased (Eslami et al. 2016, section 2.2). ``mask="current"``: the report's C(x) = sum_i f(x, z_<i) z_pres_i
    for every decision (report, section 4.4): it reads the very decisions it is subtracted for, and is biased.
    f is linear in the LSTM's state, or with ``head`` hidden units the two-layer MLP of the report.
    """

    def __init__(self, canvas: int, what: int, hidden: int, mask: str, head: int = 0) -> None:
        super().__init__()
        if mask not in ("previous", "current"):
            raise ValueError(f"mask must be 'previous' or 'current', not {mask!r}")
        self.mask = mask
        self.cell = Cell(canvas * canvas, 3 + what, hidden)
        self.head = mlp(hidden, head, 1) if head else nn.Linear(hidden, 1)

    def read(self, objects: Objects) -> Tensor:
        latents = torch.cat([objects.z_where, objects.z_what], -1).detach()  # [B, N, 3 + C]
        projected = self.cell.constant(objects.canvas.detach().flatten(1))
        state = self.cell.first(projected)
        hidden = [state[0]]
        for step in latents[:, :-1].unbind(1):  # step i reads those of step i - 1
            state = self.cell(projected, step, state)
            hidden.append(state[0])
        read: Tensor = self.head(torch.stack(hidden, 1))[..., 0]
        return read

    def given(self, read: Tensor, present: Tensor) -> Tensor:
        if self.mask == "previous":
            return read
        return (read * present).sum(1, keepdim=True).expand_as(read)
