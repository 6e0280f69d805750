"""What a split of scenes is like: counts, pixels, boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from airctl.scenes.spec import SceneSplit

BINS = 16  # of the histogram of pixel values, 16 values each
_ROWS = 1000  # scenes looked at at once


def statistics(split: SceneSplit) -> dict[str, Any]:
    """Counts and pixels of the scenes; pixel values are 0..255, boxes in pixels, shares 0..1.

    ``overlap`` is the share of the scenes with two objects or more in which the boxes of two touch.
    """
    images, counts = split.images, split.counts
    known = split.counted
    histogram = np.zeros(256, np.int64)
    sums = np.empty(len(images))
    for start in range(0, len(images), _ROWS):
        piece = images[start : start + _ROWS]
        histogram += np.bincount(piece.ravel(), minlength=256)
        sums[start : start + _ROWS] = piece.mean((1, 2))
    values, pixels = np.arange(256), max(1, int(histogram.sum()))
    mean = float((histogram * values).sum() / pixels)
    there = split.boxes[split.boxes[..., 2] > split.boxes[..., 0]].astype(int)
    sides = there[:, 2:] - there[:, :2]
    several = known & (counts > 1)
    return {
        "scenes": len(counts),
        "counts": np.bincount(counts[known]).tolist(),
        "mean_pixel": mean,
        "pixel_sd": float(np.sqrt((histogram * (values - mean) ** 2).sum() / pixels)),
        "black": float(histogram[0] / pixels),
        "white": float(histogram[255] / pixels),
        "pixel_histogram": histogram.reshape(BINS, -1).sum(1).tolist(),
        "mean_pixel_by_count": {int(n): float(sums[counts == n].mean()) for n in np.unique(counts[known])},
        "mean_box": sides.mean(0).tolist() if len(sides) else None,
        "overlap": float(_overlap(split.boxes[several].astype(int)).mean()) if several.any() else None,
    }


def _overlap(boxes: np.ndarray) -> np.ndarray:
    """Whether any two of the boxes [S, M, 4] of a scene share a pixel, [S]; padding (-1) shares none."""
    low = np.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = np.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high > low).all(-1) & ~np.eye(boxes.shape[1], dtype=bool)
    return np.asarray(shared.any((1, 2)))
