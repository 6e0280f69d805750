"""Passes over many scenes, in chunks and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from airctl.group import ALONE, Group
from airctl.model import AIR, Noise, Objects
from airctl.objectives import Terms, terms_of

CHUNK = 250  # scenes a pass


def passes(
    model: AIR,
    images: Tensor,
    log_p: Tensor,
    noise: Callable[[int], Noise],
    group: Group = ALONE,
    skip: Callable[[int], object] | None = None,
) -> Iterator[tuple[Objects, Terms]]:
    """The objects of uint8 ``images`` [S, D, D] in chunks, without gradients; ``noise(batch)`` is a chunk's noise.

    Each process of a ``group`` gets its share of the chunks, which are those of one process. For one that is another's
    ``skip(batch)`` (by default ``noise``) takes from a generator what it would have taken.
    """
    chunks = images.split(CHUNK)
    mine = range(len(chunks))[group.rows(len(chunks))]
    with torch.no_grad():
        for number, chunk in enumerate(chunks):
            if number in mine:
                objects = model(chunk.to(model.prior.loc.dtype) / 255, noise(len(chunk)))
                yield objects, terms_of(objects, log_p, model.likelihood)
            else:
                (skip or noise)(len(chunk))
