"""What a model finds in a batch of scenes: counts, boxes of the ink that is drawn, reconstructions.

AIR has no notion of a tight box: its glimpse is a square somewhat larger than the object. So the box of an object is
that of the ink that is drawn for it, as a true box is that of the digit's ink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airctl.inference.effort import USUAL, Effort
from airctl.inference.refine import explanations
from airctl.model import AIR, Objects, boxes
from airctl.objectives import Terms

INK = 0.1  # a drawn pixel brighter than this is ink; chosen on validation scenes (docs/experiments.md)


@dataclass(frozen=True)
class Detections:
    """What a model finds in S scenes; of the N steps the first ``counts`` are taken."""

    counts: np.ndarray  # [S] the most probable count, after the second look
    amortised: np.ndarray  # [S] that of q(n) at the posterior means, before it
    boxes: np.ndarray  # [S, N, 4] of the ink that each step draws, pixels
    glimpses: np.ndarray  # [S, N, 4] edges of each step's glimpse, pixels; they may leave the canvas
    present: np.ndarray  # [S, N] q(n >= i): that step i and all before it are taken
    drawn: np.ndarray  # uint8 [S, D, D] the reconstruction with that count


def ink_boxes(pasted: Tensor, threshold: float = INK) -> Tensor:
    """The tight boxes (x0, y0, x1, y1) of the ink of images ``pasted`` [..., D, D], pixels, [..., 4]; empty: zeros."""
    ink = pasted > threshold
    edges = []
    for along in (-2, -1):  # columns have ink somewhere along y, rows along x
        line = ink.any(along).to(torch.int8)  # [..., D]
        low = line.argmax(-1)
        high = line.shape[-1] - line.flip(-1).argmax(-1)
        edges.append((low, torch.where(line.any(-1), high, low)))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], -1)


def detections(objects: Objects, terms: Terms, amortised: Tensor) -> Detections:
    """What one pass finds; ``amortised`` [B] are the counts of the inference network alone."""
    counts = terms.log_q.argmax(1)
    drawn = objects.canvases[torch.arange(len(counts), device=counts.device), counts]
    return Detections(
        counts=counts.cpu().numpy(),
        amortised=amortised.cpu().numpy(),
        boxes=ink_boxes(objects.pasted).cpu().numpy(),
        glimpses=boxes(objects.z_where, objects.canvas.shape[-1]).cpu().numpy(),
        present=terms.log_present.cumsum(1).exp().cpu().numpy(),
        drawn=(drawn.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(),
    )


def find(model: AIR, images: Tensor, log_p: Tensor, effort: Effort = USUAL) -> Detections:
    """What the model finds in ``images`` (uint8 [S, D, D]), taking N steps for a count prior ``log_p`` [N + 1]."""
    parts = [vars(detections(*parts)) for parts in explanations(model, images, log_p, effort)]
    return Detections(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
