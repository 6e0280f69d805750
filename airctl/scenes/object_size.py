"""How large the objects of a picture are, and whether they are bright or dark, by scale space (Lindeberg 1998).

The Laplacian of a Gaussian, times its variance, answers to a disc of radius r the most at sd r / sqrt 2, at its centre.
So the local maxima over places and scales say where round things are and how large. They are looked for octave by
octave, in the middle of what is large, so that the cost does not grow with the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_laplace, label
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu

SIDE = 1024  # pixels of an octave that are looked at, at most
LEAST = 32  # pixels a side of the smallest octave
STEPS = 4  # scales an octave
FAINT = 0.1  # of the strongest answer: below it nothing counts
SOFT = 1.1  # diameter of an object over that of the disc with sharp edges that answers as it does


@dataclass(frozen=True)
class Blobs:
    """Round things of one picture, the strongest first."""

    diameter: np.ndarray  # [n] pixels of the picture
    weight: np.ndarray  # [n] contrast times area, per area that was looked at

    @property
    def size(self) -> float:
        """The usual diameter: half of the weight lies in smaller ones; NaN without any."""
        if not len(self.diameter):
            return math.nan
        order = self.diameter.argsort()
        share = self.weight[order].cumsum()
        return float(self.diameter[order][np.searchsorted(share, share[-1] / 2)]) * SOFT


def blobs(grey: np.ndarray) -> Blobs:
    """The bright round things of ``grey`` [h, w], float."""
    parts = list(_octaves(grey))
    if not parts:
        return Blobs(np.empty(0), np.empty(0))
    y, x, radius, answer, area = np.concatenate(parts, 1)
    strong = np.flatnonzero(answer > FAINT * answer.max(initial=0))
    order = strong[answer[strong].argsort()[::-1]]
    kept = _apart(y[order], x[order], radius[order])
    chosen = order[kept]
    return Blobs(2 * radius[chosen], answer[chosen] * radius[chosen] ** 2 / area[chosen])


def bright_or_dark(grey: np.ndarray) -> tuple[Blobs, bool]:
    """The blobs of ``grey`` [h, w], and whether they are dark on bright.

    A background hangs together and objects do not: what is mostly one piece is the background, however much of the
    picture the objects cover.
    """
    bright, dark = blobs(grey), blobs(-grey)
    size = np.nanmin([bright.size, dark.size, float(max(grey.shape))])
    flat = gaussian_filter(grey, size / 6) - gaussian_filter(grey, 2 * size)
    above = flat > threshold_otsu(flat)
    inverted = bool(_largest_share(above) > _largest_share(~above))
    return (dark if inverted else bright), inverted


def _largest_share(mask: np.ndarray) -> float:
    """The share of ``mask`` that its largest connected piece has."""
    pieces = np.bincount(label(mask)[0][mask])
    return float(pieces.max() / pieces.sum()) if pieces.sum() else 0.0


def _octaves(grey: np.ndarray) -> Iterator[np.ndarray]:
    """(y, x, radius, answer, area that was looked at) [5, n] of each octave, in pixels of the picture."""
    level, zoom = np.ascontiguousarray(grey, np.float32), 1
    level = level - np.float32(np.median(level))  # a constant picture is exactly 0, and its rounding no blobs
    while min(level.shape) >= LEAST:
        first = -STEPS if zoom == 1 else 0
        sds = 2 * 2.0 ** (np.arange(first - 1, STEPS + 1) / STEPS)  # one more at each end, to know the maxima
        top, left = ((side - min(side, SIDE)) // 2 for side in level.shape)
        part = level[top : top + SIDE, left : left + SIDE]
        answers = np.stack([-(sd**2) * gaussian_laplace(part, sd, mode="nearest") for sd in sds])
        places = peak_local_max(answers, min_distance=1, threshold_abs=0, exclude_border=False)
        places = places[(places[:, 0] > 0) & (places[:, 0] < len(sds) - 1)]
        scale, y, x = places.T
        smaller, answer, larger = (answers[scale + k, y, x] for k in (-1, 0, 1))
        top_of = (larger - smaller) / (2 * (2 * answer - smaller - larger)).clip(1e-12)  # of the parabola through them
        radius = math.sqrt(2) * sds[scale] * 2.0 ** (top_of.clip(-0.5, 0.5) / STEPS) * zoom
        area = np.full(len(places), part.size * zoom**2, float)
        yield np.stack([(y + top) * zoom, (x + left) * zoom, radius, answer, area])
        height, width = level.shape
        level = np.asarray(Image.fromarray(level).resize((width // 2, height // 2), Image.Resampling.BOX))
        zoom *= 2


def _apart(y: np.ndarray, x: np.ndarray, radius: np.ndarray) -> list[int]:
    """The places of which no stronger one is nearer than either's radius; the strongest come first."""
    free, kept = np.ones(len(y), bool), []
    for i in range(len(y)):
        if free[i]:
            kept.append(i)
            reach = np.maximum(radius, radius[i])
            free &= (y - y[i]) ** 2 + (x - x[i]) ** 2 > reach**2
    return kept
