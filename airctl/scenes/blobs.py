"""Blobs: cells one by one, as the glyphs of scenes. What learns to find them finds round things in other pictures."""

from __future__ import annotations

import math

import numpy as np

from airctl.scenes.cells import RATIOS, SIZES, Ellipse, draw_cell

SIDE = 28
_DIAMETER = 18.0  # the largest blob is 1.25 times as long, and its soft edge just fits into the 28 pixels


def draw_blobs(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``number`` blobs, uint8 [number, 28, 28], bright on black, and their labels [number], all 0.

    Each is an ellipse in the middle whose longer axis is 14.4 to 22.5 pixels. No two are equal: each has a texture of
    its own. The same seed gives the same blobs.
    """
    rng = np.random.RandomState(seed)
    images = np.zeros((number, SIDE, SIDE), np.uint8)
    for image in images:
        radius, ratio, angle = _DIAMETER / 2 * rng.uniform(*SIZES), rng.uniform(*RATIOS), rng.uniform(0, math.pi)
        blob = draw_cell(rng, Ellipse(SIDE / 2, SIDE / 2, radius, ratio, angle), 0, 0, SIDE, SIDE)
        image[:] = np.rint(255 * blob)
    return images, np.zeros(number, np.uint8)
