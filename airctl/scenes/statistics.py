"""What a split of scenes is like: counts, pixels, boxes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from airctl.scenes.spec import NO_COUNT, SceneSplit

BINS = 16  # of the histogram of pixel values, 16 values each
_PIXELS = 2**20  # looked at at once: eight bytes each


def statistics(scenes: SceneSplit | Iterable[SceneSplit]) -> dict[str, Any]:
    """Counts and pixels of scenes, whole or in blocks; pixel values are 0..255, boxes in pixels, shares 0..1.

    ``overlap`` is the share of the scenes with two objects or more in which the boxes of two touch.
    """
    histogram, sides = np.zeros(256, np.int64), np.zeros(2, np.int64)
    counts, ink = np.zeros(NO_COUNT, np.int64), np.zeros(NO_COUNT, np.int64)  # scenes and sum of pixels, by count
    number = pixels = boxes = several = overlapping = 0
    for block in scenes.blocks() if isinstance(scenes, SceneSplit) else scenes:
        number += len(block.counts)
        pixels += block.images.size
        known = block.counted
        here = block.counts[known]
        flat = block.images.reshape(-1)
        for start in range(0, len(flat), _PIXELS):
            histogram += np.bincount(flat[start : start + _PIXELS], minlength=256)
        sums = block.images.reshape(len(block.counts), -1).sum(1, dtype=np.int64)[known]
        counts += np.bincount(here, minlength=NO_COUNT)
        np.add.at(ink, here, sums)
        there = block.boxes[block.boxes[..., 2] > block.boxes[..., 0]].astype(int)
        sides += (there[:, 2:] - there[:, :2]).sum(0)
        boxes += len(there)
        crowded = block.boxes[known & (block.counts > 1)].astype(int)
        several += len(crowded)
        overlapping += int(_overlap(crowded).sum())
    values, scene = np.arange(256), pixels // max(1, number)
    mean = float((histogram * values).sum() / max(1, pixels))
    seen = np.flatnonzero(counts)
    return {
        "scenes": number,
        "counts": counts[: seen[-1] + 1 if len(seen) else 0].tolist(),
        "mean_pixel": mean,
        "pixel_sd": float(np.sqrt((histogram * (values - mean) ** 2).sum() / max(1, pixels))),
        "black": float(histogram[0] / max(1, pixels)),
        "white": float(histogram[255] / max(1, pixels)),
        "pixel_histogram": histogram.reshape(BINS, -1).sum(1).tolist(),
        "mean_pixel_by_count": {n: float(ink[n] / (counts[n] * scene)) for n in seen.tolist()},
        "mean_box": (sides / boxes).tolist() if boxes else None,
        "overlap": overlapping / several if several else None,
    }


def _overlap(boxes: np.ndarray) -> np.ndarray:
    """Whether any two of the boxes [S, M, 4] of a scene share a pixel, [S]; padding (-1) shares none."""
    low = np.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = np.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high > low).all(-1) & ~np.eye(boxes.shape[1], dtype=bool)
    return np.asarray(shared.any((1, 2)))
