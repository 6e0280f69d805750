"""How well the boxes of what was found fit the true ones: mean IoU, average precision at IoU 0.5."""

from __future__ import annotations

import numpy as np

from airctl.inference import Detections
from airctl.results.evaluation import DetectionReport
from airctl.scenes.rows import Array


def shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that each of the boxes ``a`` [A, 4] has in common with each of ``b`` [B, 4], [A, B]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap: np.ndarray = np.prod(np.clip(high - low, 0, None), -1).astype(float)
    return overlap


def area(a: np.ndarray) -> np.ndarray:
    """The areas of boxes ``a`` [A, 4], [A]."""
    product: np.ndarray = np.prod(a[:, 2:] - a[:, :2], -1)
    return product


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``a`` [A, 4] with ``b`` [B, 4], [A, B]."""
    inside = shared(a, b)
    union = area(a)[:, None] + area(b)[None] - inside
    ratio: np.ndarray = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return ratio


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


def unpadded(true_boxes: np.ndarray) -> np.ndarray:
    """The true boxes of one scene without their padding, [M, 4] -> [m, 4]."""
    return true_boxes[true_boxes[:, 2] > true_boxes[:, 0]]


def evaluate_boxes(found: Detections, true_boxes: Array) -> DetectionReport:
    """Compare the boxes that were found with ``true_boxes`` [S, M, 4], padded with -1.

    As many boxes a scene as its most probable count. The score of the i-th is ``found.present``, p(n >= i | x): the
    probability that a scene has so many objects, which falls in the order of the answer, and not that of this object
    (``Answer.each``). With the recurrent network, whose i-th step is there if there are i objects, they are the same.
    """
    ious: list[float] = []
    scores: list[float] = []
    right: list[bool] = []
    for scene, count in enumerate(found.counts.tolist()):
        true = unpadded(true_boxes[scene])
        overlaps = iou(found.boxes[scene, :count], true)
        matched = {row: overlaps[row, column] for row, column in match(overlaps)}
        ious += [*matched.values(), *[0.0] * (len(true) - len(matched))]
        scores += found.present[scene, :count].tolist()
        right += [bool(matched.get(row, 0.0) >= 0.5) for row in range(count)]
    mean = float(np.mean(ious)) if ious else None
    return DetectionReport(mean, average_precision(np.array(scores), np.array(right, bool), len(ious)), len(ious))
