"""Figure 1 of the report as a run goes: the same scenes, and what the model makes of them after more and more steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airctl.evaluation.gallery import record_of
from airctl.inference import find
from airctl.model import AIR
from airctl.results.records import choose
from airctl.scenes import KeptScenes

_DIGITS = (1, 2, 3, 5, 7)


def due(step: int) -> bool:
    """Whether a frame belongs after ``step`` steps: 0, and 1, 2, 3, 5 and 7 times each power of ten from 10 on."""
    power = 10 ** (len(str(step)) - 1)
    return step == 0 or (step >= 10 and step % power == 0 and step // power in _DIGITS)


@dataclass(frozen=True)
class Watched:
    """The scenes of all frames of a run."""

    images: np.ndarray  # uint8 [S, D, D]
    counts: np.ndarray  # [S]
    boxes: np.ndarray  # [S, M, 4]

    @classmethod
    def of(cls, split: KeptScenes, start: int) -> Watched:
        """From the scenes that are held out, from ``start`` on; from all if none are. None without true counts."""
        start = start if start < len(split.counts) else 0
        known = start + split.counted[start:].nonzero()[0]
        chosen = [int(known[i]) for i in choose(split.counts[known].tolist())]
        return cls(split.images[chosen], split.counts[chosen], split.boxes[chosen])

    def frame(self, model: AIR, log_p: Tensor, step: int) -> dict[str, Any]:
        """What the model makes of them after ``step`` steps."""
        found = find(model, torch.from_numpy(self.images).to(model.device), log_p)
        rows = zip(self.images, self.counts, self.boxes, strict=True)
        scenes = [record_of(image, found, i, count, boxes) for i, (image, count, boxes) in enumerate(rows)]
        return {"step": step, "scenes": scenes}
