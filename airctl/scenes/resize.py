"""How a digit gets its size in the scene: the two resamplings with which published scenes were made."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

Resize = Callable[[np.ndarray, int, int], np.ndarray]  # uint8 [h, w], rows, columns -> uint8 [rows, columns]


def resize_bilinear(digit: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Stretch to 0..255, then Pillow's BILINEAR (a triangle filter as wide as the shrinking asks for).

    This is what ``scipy.misc.imresize`` did to a float image, with which the report's data were made.
    """
    low, high = int(digit.min()), int(digit.max())
    if high > low and (low, high) != (0, 255):
        digit = ((digit - float(low)) * (255.0 / (high - low)) + 0.5).astype(np.uint8)
    return np.asarray(Image.fromarray(digit).resize((columns, rows), Image.Resampling.BILINEAR))


def resize_nearest(digit: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Nearest neighbour as Pillow did it before 7.0, with which Pyro's published scenes were made."""
    resized: np.ndarray = digit[_nearest(digit.shape[0], rows)[:, None], _nearest(digit.shape[1], columns)]
    return resized


@lru_cache
def _nearest(size: int, side: int) -> np.ndarray:
    """Source index of each target pixel: starts at a / 2, a = size / side, and is accumulated, rounding included."""
    step = size / side
    position = step / 2
    index = []
    for _ in range(side):
        index.append(min(int(position), size - 1))
        position += step
    return np.array(index)
