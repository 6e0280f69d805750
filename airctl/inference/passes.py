"""Passes over many scenes, in chunks and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from airctl.inference.images import Images
from airctl.model import AIR, Noise, Objects
from airctl.objectives import Terms, terms_of

CHUNK = 250  # scenes a pass
_CHUNK_PIXELS = 2**22  # of a pass: canvases of more than 129 pixels a side are seen fewer at a time


def chunk_of(shape: tuple[int, ...]) -> int:
    """How many canvases of [S, H, W] are seen in one pass: its memory is that of its pixels."""
    return max(1, min(CHUNK, _CHUNK_PIXELS // (shape[-2] * shape[-1])))


def passes(
    model: AIR, images: Tensor | Images, log_p: Tensor, noise: Callable[[int], Noise]
) -> Iterator[tuple[Objects, Terms]]:
    """The objects of uint8 ``images`` [S, D, D] in chunks, without gradients; ``noise(batch)`` is a chunk's noise."""
    with torch.no_grad():
        for chunk in images.split(chunk_of(tuple(images.shape))):
            objects = model(chunk.float() / 255, noise(len(chunk)))
            yield objects, terms_of(objects, log_p, model.likelihood)
