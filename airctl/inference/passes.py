"""Passes over many scenes, in chunks and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from airctl.model import AIR, Noise, Objects
from airctl.objectives import Terms, terms_of

CHUNK = 250  # scenes a pass


def passes(model: AIR, images: Tensor, log_p: Tensor, noise: Callable[[int], Noise]) -> Iterator[tuple[Objects, Terms]]:
    """The objects of uint8 ``images`` [S, D, D] in chunks, without gradients; ``noise(batch)`` is a chunk's noise."""
    with torch.no_grad():
        for chunk in images.split(CHUNK):
            objects = model(chunk.float() / 255, noise(len(chunk)))
            yield objects, terms_of(objects, log_p, model.likelihood)
