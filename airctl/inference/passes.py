"""Passes over many scenes, in chunks and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from airctl.group import ALONE, Group
from airctl.inference.images import Images
from airctl.model import AIR, Noise, Objects
from airctl.objectives import Terms, terms_of

CHUNK = 250  # scenes a pass
_CHUNK_PIXELS = 2**22  # of a pass: canvases of more than 129 pixels a side are seen fewer at a time


def chunk_of(shape: tuple[int, ...]) -> int:
    """How many canvases of [S, H, W] are seen in one pass: its memory is that of its pixels."""
    return max(1, min(CHUNK, _CHUNK_PIXELS // (shape[-2] * shape[-1])))


def chunks(images: Tensor | Images, size: int, group: Group) -> Iterator[tuple[Tensor, bool]]:
    """``images`` in turn, ``size`` at a time, and whether a chunk is this process's share of the ``group``'s."""
    starts = range(0, len(images), size)
    mine = starts[group.rows(len(starts))]
    for start, chunk in zip(starts, images.split(size), strict=True):
        yield chunk, start in mine


def passes(
    model: AIR,
    images: Tensor | Images,
    log_p: Tensor,
    noise: Callable[[int], Noise],
    group: Group = ALONE,
    skip: Callable[[int], object] | None = None,
) -> Iterator[tuple[Objects, Terms]]:
    """The objects of uint8 ``images`` [S, D, D] in chunks, without gradients; ``noise(batch)`` is a chunk's noise.

    Each process of a ``group`` gets its share of the chunks, which are those of one process. For one that is another's
    ``skip(batch)`` (by default ``noise``) takes from a generator what it would have taken.
    """
    with torch.no_grad():
        for chunk, is_mine in chunks(images, chunk_of(tuple(images.shape)), group):
            if is_mine:
                objects = model(chunk.to(model.prior.loc.dtype) / 255, noise(len(chunk)))
                yield objects, terms_of(objects, log_p, model.likelihood)
            else:
                (skip or noise)(len(chunk))
