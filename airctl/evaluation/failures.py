"""What became of each scene: right, or one of the failures that Figure 2 of "Experiments with AIR" (2019) shows.

Found from the true boxes, the boxes of the ink that each step draws, and the reconstruction:

1. Steps and objects are paired one to one, the largest IoU first; a pair must have an IoU of at least ``TOUCHING``.
2. A step without a partner is *double* if half of its box lies inside an object's, or half of an object's inside it.
   An object without one is *merged* if half of it lies inside the box of some step.
3. Too many steps: "several steps on one object" if a step is double, otherwise "needless step". Too few: "two objects
   taken for one" if an object is merged, otherwise "object missed". As many as there are objects: a step or object
   without a partner decides in the same way between several steps and two objects, in that order; if neither, or if
   a pair's IoU is below ``FITTING``, or if more than ``UNEXPLAINED`` of an object's squared brightness is left over
   when the reconstruction is taken away, "wrong pose or bad reconstruction"; and otherwise "right".

So each scene has one outcome, and one that was counted wrong is never called right. The thresholds were chosen by
looking at validation scenes (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airctl.evaluation.box_accuracy import area, iou, match, shared, unpadded
from airctl.inference import Detections
from airctl.results.outcomes import OUTCOMES, OutcomeShares
from airctl.scenes.rows import Array

RIGHT, DOUBLE, NEEDLESS, MERGED, MISSED, WRONG = OUTCOMES
TOUCHING = 0.1  # IoU from which a step and an object may belong together
FITTING = 0.5  # IoU from which the pose is right
UNEXPLAINED = 0.5  # share of an object's squared brightness up to which the reconstruction is right
HALF = 0.5


def outcomes(found: Detections, images: Array, true_boxes: Array) -> list[str]:
    """One of ``OUTCOMES`` for each scene of ``images`` (uint8 [S, D, D]) with ``true_boxes`` [S, M, 4], -1 padded."""
    return [
        outcome(found.boxes[scene, :count], true := unpadded(true_boxes[scene]), unexplained(image, drawn, true))
        for scene, (count, image, drawn) in enumerate(zip(found.counts, images, found.drawn, strict=True))
    ]


def shares(named: Sequence[str]) -> OutcomeShares:
    """The share of each of ``OUTCOMES`` among the scenes' outcomes ``named``; they sum to 1."""
    return OutcomeShares(**{name: named.count(name) / len(named) for name in OUTCOMES})


def unexplained(image: np.ndarray, drawn: np.ndarray, true: np.ndarray) -> np.ndarray:
    """sum (x - y)^2 / sum x^2 in each true box [m, 4], for a scene x and its reconstruction y (uint8 [D, D]), [m]."""
    left = (image.astype(float) - drawn) ** 2
    ink = image.astype(float) ** 2
    return np.array([left[y0:y1, x0:x1].sum() / max(ink[y0:y1, x0:x1].sum(), 1.0) for x0, y0, x1, y1 in true])


def outcome(steps: np.ndarray, true: np.ndarray, left: np.ndarray) -> str:
    """The outcome of one scene: ink boxes of the ``steps`` taken [n, 4], ``true`` boxes [m, 4], unexplained [m]."""
    overlaps = iou(steps, true)
    pairs = [pair for pair in match(overlaps) if overlaps[pair] >= TOUCHING]
    common = shared(steps, true)
    of_step = common / np.maximum(area(steps)[:, None], 1)
    of_object = common / np.maximum(area(true)[None], 1)
    alone_steps = sorted(set(range(len(steps))) - {step for step, _ in pairs})
    alone_objects = sorted(set(range(len(true))) - {thing for _, thing in pairs})
    double = bool((np.maximum(of_step, of_object)[alone_steps] >= HALF).any())
    merged = bool((of_object[:, alone_objects] >= HALF).any())
    if len(steps) > len(true):
        return DOUBLE if double else NEEDLESS
    if len(steps) < len(true):
        return MERGED if merged else MISSED
    if alone_steps and (double or merged):
        return DOUBLE if double else MERGED
    fits = not alone_steps and all(overlaps[pair] >= FITTING for pair in pairs) and (left <= UNEXPLAINED).all()
    return RIGHT if fits else WRONG
