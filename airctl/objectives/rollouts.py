"""The roll-out that an estimator asks for: how many of each scene, and whether gradients pass through the samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from airctl.model import AIR, Rollout
from airctl.objectives.terms import Estimator


def roll_out(model: AIR, canvas: Tensor, chosen: Estimator, generator: torch.Generator) -> Rollout:
    """Roll out each scene of ``canvas`` [B, D, D] ``chosen.copies`` times, with independent noise."""
    noise = model.noise(len(canvas) * chosen.copies, generator)
    if chosen.reparameterised:
        rollout: Rollout = model(canvas, noise)
        return rollout
    with samples_held(model):
        rollout = model(canvas, noise)
    return rollout


@contextmanager
def samples_held(model: AIR) -> Iterator[None]:
    """While entered, what the networks read of earlier samples is a constant to them.

    Three of them read z_where or z_what: the LSTM those of the step before, the encoder the glimpse at z_where, the
    decoder z_what. The pasting reads z_where too, but has nothing to learn.
    """
    handles = [
        model.cell.register_forward_pre_hook(lambda cell, inputs: (inputs[0], inputs[1].detach(), *inputs[2:])),
        model.encoder.register_forward_pre_hook(lambda encoder, inputs: (inputs[0].detach(),)),
        model.decoder.register_forward_pre_hook(lambda decoder, inputs: (inputs[0].detach(),)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
