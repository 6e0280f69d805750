"""Roll-outs over many scenes, in chunks and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from airctl.model import AIR, Noise, Rollout
from airctl.objectives import CountTerms, count_terms

CHUNK = 250  # scenes a pass


def rollouts(
    model: AIR, images: Tensor, log_p: Tensor, noise: Callable[[int], Noise]
) -> Iterator[tuple[Rollout, CountTerms]]:
    """Roll out over uint8 ``images`` [S, D, D] in chunks, without gradients; ``noise(batch)`` makes a chunk's noise."""
    with torch.no_grad():
        for chunk in images.split(CHUNK):
            rollout = model(chunk.float() / 255, noise(len(chunk)))
            yield rollout, count_terms(rollout, log_p, model.config.model.likelihood_sd)
