"""What the model can draw: scenes of its prior, and one object as a single number of its z_what changes."""

from __future__ import annotations

import torch
from torch import Tensor

from airctl.inference.images import Images
from airctl.inference.passes import chunk_of, passes
from airctl.model import AIR, Objects
from airctl.objectives import Terms

SPAN = 3.0  # standard deviations of the prior of z_what on either side


def sample_prior(model: AIR, per_count: int, generator: torch.Generator) -> Tensor:
    """Scenes x ~ p(x | n) of n = 1..N objects, z_where and z_what from their priors, [N, per_count, D, D]."""
    sizes = model.config.model
    batch, most = sizes.num_steps * per_count, sizes.num_steps
    noise, canvas = model.noise(batch, generator), torch.zeros(1, sizes.canvas, sizes.canvas, device=model.device)
    there = torch.arange(most, device=model.device).repeat_interleave(per_count)[:, None] >= torch.arange(
        most, device=model.device
    )  # [N per_count, N] the first n objects
    with torch.no_grad():
        layers = model.draw(model.poses.from_noise(noise.where, canvas), noise.what, canvas)[1]
        scenes: Tensor = layers.sum(there.to(noise.where)).unflatten(0, (most, per_count))
        return scenes


def traverse_what(model: AIR, z_what: Tensor, rows: int, columns: int) -> tuple[list[int], Tensor]:
    """One of the objects ``z_what`` [K, C], the most ordinary, as one of its numbers changes and the others stay.

    Returns the ``rows`` numbers that differ most between the objects, and the object [rows, columns, G, G] as each of
    them goes from -``SPAN`` to ``SPAN`` prior standard deviations.
    """
    numbers = z_what.var(0, correction=0).argsort(descending=True, stable=True)[:rows].tolist()
    values = torch.linspace(-SPAN, SPAN, columns, device=z_what.device)
    with torch.no_grad():
        ordinary = (z_what - z_what.mean(0)).square().sum(1).argmin()
        moved = z_what[ordinary].repeat(len(numbers), columns, 1)
        for row, number in enumerate(numbers):
            moved[row, :, number] = values
        return numbers, model.decoder(moved)


def first_pass(model: AIR, images: Tensor | Images, log_p: Tensor) -> tuple[Objects, Terms]:
    """The pass at the posterior means over the first of ``images`` (uint8 [S, D, D])."""
    steps = len(log_p) - 1
    return next(
        passes(model, images[: chunk_of(tuple(images.shape))], log_p, lambda batch: model.mean_noise(batch, steps))
    )
