"""What a model finds in a batch of scenes: counts, boxes of the ink that is drawn, reconstructions.

AIR has no notion of a tight box: its glimpse is a square somewhat larger than the object. So the box of an object is
that of the ink that is drawn for it, as a true box is that of the digit's ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from airctl.group import ALONE, Group
from airctl.inference.answer import Answer
from airctl.inference.images import Images
from airctl.inference.passes import passes
from airctl.model import AIR, Objects
from airctl.objectives import Terms
from airctl.scenes import Rows

INK = 0.1  # a drawn pixel brighter than this is ink; chosen on validation scenes (docs/experiments.md)


@dataclass(frozen=True)
class Detections:
    """What a model finds in S scenes; of the M objects of a scene the first ``counts`` are taken."""

    counts: np.ndarray  # [S] the most probable count
    boxes: np.ndarray  # [S, M, 4] of the ink that is drawn for each object, pixels
    glimpses: np.ndarray  # [S, M, 4] edges of each object's glimpse, pixels; they may leave the canvas
    present: np.ndarray  # [S, M] p(n >= i | x) of the i-th object: that there are so many
    drawn: np.ndarray | Rows  # uint8 [S, H, W] the reconstruction with that count


def detections(model: AIR, objects: Objects, terms: Terms) -> Detections:
    """What one pass finds."""
    answer = Answer.of(model, objects, terms)
    order = answer.order[..., None].expand(-1, -1, 4)
    return Detections(
        counts=answer.counts.cpu().numpy(),
        boxes=objects.layers.ink_boxes(INK).gather(1, order).cpu().numpy(),
        glimpses=objects.boxes.gather(1, order).cpu().numpy(),
        present=answer.present.cpu().numpy(),
        drawn=(answer.drawn.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(),
    )


def find(
    model: AIR, images: Tensor | Images, log_p: Tensor, folder: Path | None = None, group: Group = ALONE
) -> Detections:
    """What the model finds in ``images`` (uint8 [S, H, W]), M objects proposed for a count prior ``log_p`` [M + 1].

    Reconstructions too many for the memory lie in a file without a name in ``folder`` (``Rows``). The processes of a
    ``group`` share the passes, and all get what all have found.
    """
    noise = lambda batch: model.mean_noise(batch, len(log_p) - 1)  # noqa: E731
    found = (vars(detections(model, *passed)) for passed in passes(model, images, log_p, noise, group))
    if group.size > 1:
        found = (part for some in group.each(list(found)) for part in some)
    drawn = Rows(tuple(images.shape), np.uint8, folder)
    parts = []
    for part in found:
        drawn.append(part.pop("drawn"))
        parts.append(part)
    return Detections(
        drawn=drawn if drawn.in_memory is None else drawn.in_memory,
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
    )
