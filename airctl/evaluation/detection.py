"""What a model finds in scenes, and how well its boxes fit the true ones: mean IoU, average precision at IoU 0.5.

AIR has no notion of a tight box: its glimpse is a square somewhat larger than the object. What is compared is the box
of the ink that a step draws, as the true box is that of the digit's ink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airctl.evaluation.effort import USUAL, Effort
from airctl.evaluation.refine import explanations
from airctl.model import AIR, Rollout, boxes
from airctl.objectives import CountTerms

INK = 0.1  # a drawn pixel brighter than this is ink; chosen on validation scenes (docs/experiments.md)


@dataclass(frozen=True)
class Found:
    """What a model finds in S scenes; of the N steps the first ``counts`` are taken."""

    counts: np.ndarray  # [S] the most probable count, after the second look
    amortised: np.ndarray  # [S] that of q(n) at the posterior means, before it
    boxes: np.ndarray  # [S, N, 4] of the ink that each step draws, pixels
    glimpses: np.ndarray  # [S, N, 4] edges of each step's glimpse, pixels; they may leave the canvas
    present: np.ndarray  # [S, N] q(n >= i): that step i and all before it are taken
    drawn: np.ndarray  # uint8 [S, D, D] the reconstruction with that count


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


def shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that each of the boxes ``a`` [A, 4] has in common with each of ``b`` [B, 4], [A, B]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), -1).astype(float)


def area(a: np.ndarray) -> np.ndarray:
    """The areas of boxes ``a`` [A, 4], [A]."""
    return np.prod(a[:, 2:] - a[:, :2], -1)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``a`` [A, 4] with ``b`` [B, 4], [A, B]."""
    inside = shared(a, b)
    union = area(a)[:, None] + area(b)[None] - inside
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


def found_in(rollout: Rollout, terms: CountTerms, amortised: Tensor) -> Found:
    """What one pass finds; ``amortised`` [B] are the counts of the inference network alone."""
    counts = terms.log_q.argmax(1)
    drawn = rollout.canvases[torch.arange(len(counts), device=counts.device), counts]
    return Found(
        counts=counts.cpu().numpy(),
        amortised=amortised.cpu().numpy(),
        boxes=ink_boxes(rollout.pasted).cpu().numpy(),
        glimpses=boxes(rollout.z_where, rollout.canvas.shape[-1]).cpu().numpy(),
        present=terms.log_q_continue.cumsum(1).exp().cpu().numpy(),
        drawn=(drawn.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(),
    )


def find(model: AIR, images: Tensor, log_p: Tensor, effort: Effort = USUAL) -> Found:
    """What the model finds in ``images`` (uint8 [S, D, D]), taking N steps for a count prior ``log_p`` [N + 1]."""
    parts = [vars(found_in(*parts)) for parts in explanations(model, images, log_p, effort)]
    return Found(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def there(true_boxes: np.ndarray) -> np.ndarray:
    """The true boxes of one scene without their padding, [M, 4] -> [m, 4]."""
    return true_boxes[true_boxes[:, 2] > true_boxes[:, 0]]


def evaluate_boxes(found: Found, true_boxes: np.ndarray) -> DetectionReport:
    """Compare the boxes that were found with ``true_boxes`` [S, M, 4], padded with -1.

    As many boxes a scene as its most probable count; a box's score is q(z_pres = 1) of its step.
    """
    ious: list[float] = []
    scores: list[float] = []
    right: list[bool] = []
    for scene, count in enumerate(found.counts.tolist()):
        true = there(true_boxes[scene])
        overlaps = iou(found.boxes[scene, :count], true)
        matched = {row: overlaps[row, column] for row, column in match(overlaps)}
        ious += [*matched.values(), *[0.0] * (len(true) - len(matched))]
        scores += found.present[scene, :count].tolist()
        right += [bool(matched.get(row, 0.0) >= 0.5) for row in range(count)]
    mean = float(np.mean(ious)) if ious else float("nan")
    return DetectionReport(mean, average_precision(np.array(scores), np.array(right, bool), len(ious)), len(ious))
