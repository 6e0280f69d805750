"""How well the inferred boxes fit the true ones: mean IoU, and average precision at an IoU of 0.5.

AIR has no notion of a tight box: its glimpse is a square somewhat larger than the object. What is compared is the box
of the ink that a step draws, as the true box is that of the digit's ink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airctl.evaluation.counts import rollouts
from airctl.model import AIR

INK = 0.1  # a drawn pixel brighter than this is ink; chosen on validation scenes (docs/experiments.md)


@dataclass(frozen=True)
class DetectionReport:
    """Inferred boxes of S scenes against the true ones."""

    mean_iou: float  # over the true objects, each with its own inferred box; 0 for an object without one
    average_precision: float  # at IoU 0.5, area under the precision-recall curve over all scenes
    objects: int  # true objects in all


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


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``a`` [A, 4] with ``b`` [B, 4], [A, B]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.prod(np.clip(high - low, 0, None), -1).astype(float)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], -1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - inside
    return np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)


def match(overlaps: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) of ``overlaps`` [A, B], each row and column at most once, the largest overlap first."""
    left, pairs = overlaps.copy(), []
    for _ in range(min(left.shape)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((int(row), int(column)))
        left[row], left[:, column] = -1, -1
    return pairs


def average_precision(scores: np.ndarray, right: np.ndarray, objects: int) -> float:
    """Area under precision over recall for detections with ``scores`` [K] of which some are ``right`` [K]."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # precision at this recall or a higher one
    return float((envelope * right[order]).sum() / max(1, objects))


def evaluate_boxes(model: AIR, images: Tensor, true_boxes: np.ndarray, log_p: Tensor) -> DetectionReport:
    """Find boxes in ``images`` (uint8 [S, D, D]) and compare with ``true_boxes`` [S, M, 4], padded with -1.

    As many boxes a scene as its most probable count; a box's score is q(z_pres = 1) of its step.
    """
    num_steps = len(log_p) - 1
    ious: list[float] = []
    scores: list[float] = []
    right: list[bool] = []
    start = 0
    for rollout, terms in rollouts(model, images, log_p, lambda batch: model.mean_noise(batch, num_steps)):
        found = ink_boxes(rollout.pasted).cpu().numpy()
        present = terms.log_q_continue.cumsum(1).exp().cpu().numpy()
        for scene, count in enumerate(terms.log_q.argmax(1).tolist()):
            true = true_boxes[start + scene]
            true = true[true[:, 2] > true[:, 0]]
            overlaps = iou(found[scene, :count], true)
            matched = {row: overlaps[row, column] for row, column in match(overlaps)}
            ious += [*matched.values(), *[0.0] * (len(true) - len(matched))]
            scores += present[scene, :count].tolist()
            right += [bool(matched.get(row, 0.0) >= 0.5) for row in range(count)]
        start += len(found)
    mean = float(np.mean(ious)) if ious else float("nan")
    return DetectionReport(mean, average_precision(np.array(scores), np.array(right, bool), len(ious)), len(ious))
