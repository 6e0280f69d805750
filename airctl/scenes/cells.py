"""Pictures that look like cells under a microscope, with known counts and boxes: noisy, touching and unevenly lit.

A cell is an ellipse with a soft edge and a mildly uneven inside. Where cells overlap, the brighter one is seen. Pixel
(row r, column c) is the square from (c, r) to (c + 1, r + 1), and is drawn as its middle. The random stream is NumPy's
legacy ``RandomState``, whose values never change.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from airctl.errors import ConfigError

SIZES = (0.8, 1.25)  # of the radius, as a share of half the diameter asked for
RATIOS = (0.7, 1.0)  # of the shorter axis of an ellipse to the longer
BRIGHTNESSES = (0.7, 1.0)
EDGE = 0.35  # width of the soft edge, as a share of the radius; half of it lies outside the ellipse
TEXTURE = 0.12  # standard deviation of the brightness inside a cell, as a share of it
_TEXTURE_GRAIN = 0.15  # of the radius: the standard deviation of the gaussian that smooths the texture
_CLUMPED = 0.3  # share of the tries that put a cell beside another
_CLUMP_GAP = 1.15  # a cell put beside another is that much further away than it has to be, at most
_TRIES = 2_000  # for a place of one cell
_MAX_PIXELS = 2**26


@dataclass(frozen=True)
class CellPicture:
    """A picture of n cells, and where they are."""

    pixels: np.ndarray  # float [h, w], 0 to 1
    boxes: np.ndarray  # float [n, 4]: x0, y0, x1, y1 of each ellipse in pixels; the soft edge is cut in the middle
    centres: np.ndarray  # float [n, 2]: x, y in pixels
    radii: np.ndarray  # float [n]: half of the longer axis, pixels

    def quantised(self, bits: int) -> np.ndarray:
        """The pixels as integers [h, w] from 0 to 2^bits - 1: uint8 for 8 bits, uint16 for 16."""
        kind = {8: np.uint8, 16: np.uint16}[bits]
        quantised: np.ndarray = np.rint(self.pixels * (2**bits - 1)).astype(kind)
        return quantised


@dataclass(frozen=True)
class Ellipse:
    """One cell's outline, in pixels."""

    x: float
    y: float
    radius: float  # half of the longer axis
    ratio: float  # the shorter axis over the longer
    angle: float  # of the longer axis to x, radians

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The tight box x0, y0, x1, y1: half its width is sqrt((a cos t)^2 + (b sin t)^2) for half axes a and b."""
        cos, sin = self.radius * math.cos(self.angle), self.radius * math.sin(self.angle)
        half_width, half_height = math.hypot(cos, self.ratio * sin), math.hypot(sin, self.ratio * cos)
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height


def cells(
    number: int,
    height: int,
    width: int,
    diameter: float,
    seed: int,
    *,
    touch: float = 0.85,
    noise: float = 0.05,
    dark: bool = False,
) -> CellPicture:
    """A picture of ``number`` cells, bright on a dim ground or, if ``dark``, the other way round.

    pixels = light + gain * max over cells + ``noise`` * N(0, 1), cut to 0..1. Light and gain change slowly over the
    picture. Longer axes are 0.8 to 1.25 times ``diameter`` (pixels); centres are ``touch`` times the sum of the half
    longer axes apart at least, so that cells touch, and overlap a little below 1. The same arguments give the same
    picture. Raises ``ConfigError`` for what cannot be meant, and if the cells do not fit.
    """
    if not 0 <= noise <= 1:
        raise ConfigError(f"noise={noise:g}: expected 0 to 1", "noise")
    rng = np.random.RandomState(seed)
    centres, radii = _places(rng, number, height, width, diameter, touch)
    ratios = rng.uniform(*RATIOS, number)
    angles = rng.uniform(0, math.pi, number)
    ellipses = [
        Ellipse(float(x), float(y), float(radius), float(ratio), float(angle))
        for (x, y), radius, ratio, angle in zip(centres, radii, ratios, angles, strict=True)
    ]
    drawn = np.zeros((height, width))
    for ellipse in ellipses:
        left, top = (max(0, int(at - ellipse.radius * (1 + EDGE))) for at in (ellipse.x, ellipse.y))
        right, bottom = (int(at + ellipse.radius * (1 + EDGE)) + 1 for at in (ellipse.x, ellipse.y))
        under = drawn[top:bottom, left:right]
        np.maximum(under, draw_cell(rng, ellipse, left, top, *under.shape), out=under)
    pixels = _lit(rng, drawn) + noise * rng.randn(height, width)
    np.clip(pixels, 0, 1, out=pixels)
    boxes = np.array([ellipse.box for ellipse in ellipses]).reshape(-1, 4)
    return CellPicture(1 - pixels if dark else pixels, boxes, centres, radii)


def check_room(number: int, height: int, width: int, diameter: float, seed: int, *, touch: float = 0.85) -> None:
    """Raise the ``ConfigError`` of ``cells`` for the same arguments, if there is one, before any drawing."""
    _places(np.random.RandomState(seed), number, height, width, diameter, touch)


def draw_cell(rng: np.random.RandomState, ellipse: Ellipse, left: int, top: int, rows: int, columns: int) -> np.ndarray:
    """One cell alone on black, float [rows, columns] of 0 to 1, in a window whose corner is at (left, top).

    Its brightness is 0.7 to 1. At the radius r (1 on the ellipse) it is multiplied by 0.7 + 0.3 exp(-2 r^2), and the
    edge falls as 3t^2 - 2t^3; nothing is drawn beyond 1 + EDGE / 2.
    """
    dx = np.arange(left, left + columns) + 0.5 - ellipse.x
    dy = (np.arange(top, top + rows) + 0.5 - ellipse.y)[:, None]
    along = (dx * math.cos(ellipse.angle) + dy * math.sin(ellipse.angle)) / ellipse.radius
    across = (dy * math.cos(ellipse.angle) - dx * math.sin(ellipse.angle)) / (ellipse.radius * ellipse.ratio)
    squared = along**2 + across**2
    edge = np.clip((1 - np.sqrt(squared)) / EDGE + 0.5, 0, 1)
    body = edge**2 * (3 - 2 * edge) * (0.7 + 0.3 * np.exp(-2 * squared))
    texture = 1 + TEXTURE * _smooth_noise(rng, rows, columns, _TEXTURE_GRAIN * ellipse.radius)
    drawn: np.ndarray = np.clip(rng.uniform(*BRIGHTNESSES) * body * texture, 0, 1)
    return drawn


def _places(
    rng: np.random.RandomState, number: int, height: int, width: int, diameter: float, touch: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres [n, 2] (x, y) and radii [n]; each cell is tried at random places until one is free.

    Centres are kept in bins as wide as the largest distance that matters, so that only 9 bins are looked into.
    """
    _check(number, height, width, diameter, touch)
    radii = diameter / 2 * rng.uniform(*SIZES, number)
    found: list[tuple[float, float, float]] = []
    bins: dict[tuple[int, int], list[tuple[float, float, float]]] = defaultdict(list)
    side = touch * SIZES[1] * diameter
    for radius in map(float, radii):
        for _ in range(_TRIES):
            x, y = _try(rng, found, radius, height, width, touch)
            if not (radius <= x <= width - radius and radius <= y <= height - radius):
                continue
            column, row = int(x // side), int(y // side)
            near = itertools.product((column - 1, column, column + 1), (row - 1, row, row + 1))
            others = itertools.chain.from_iterable(bins[key] for key in near if key in bins)
            if all(math.hypot(x - u, y - v) >= touch * (radius + other) for u, v, other in others):
                found.append((x, y, radius))
                bins[column, row].append((x, y, radius))
                break
        else:
            raise ConfigError(
                f"{number} cells of {diameter:g} pixels do not fit a picture of {width} x {height}: {len(found)} did, "
                "so ask for fewer, for smaller ones, or for a larger picture"
            )
    return np.array([(x, y) for x, y, _ in found]).reshape(-1, 2), radii


def _try(
    rng: np.random.RandomState,
    found: list[tuple[float, float, float]],
    radius: float,
    height: int,
    width: int,
    touch: float,
) -> tuple[float, float]:
    """A place to try: anywhere or, for a share of the tries, as near to another cell as can be."""
    if found and rng.rand() < _CLUMPED:
        x, y, other = found[rng.randint(len(found))]
        distance = touch * (radius + other) * rng.uniform(1, _CLUMP_GAP)
        angle = rng.uniform(0, 2 * math.pi)
        return x + distance * math.cos(angle), y + distance * math.sin(angle)
    return rng.uniform(0, width), rng.uniform(0, height)


def _check(number: int, height: int, width: int, diameter: float, touch: float) -> None:
    if number < 0:
        raise ConfigError(f"number={number}: expected 0 or more", "number")
    if min(height, width) < 1 or height * width > _MAX_PIXELS:
        raise ConfigError(f"a picture of {width} x {height} pixels: expected 1 to {_MAX_PIXELS} pixels in all")
    if not 4 <= diameter <= 10_000:
        raise ConfigError(f"diameter={diameter:g}: expected 4 to 10000 pixels", "diameter")
    if not 0.3 <= touch <= 3:
        raise ConfigError(f"touch={touch:g}: expected 0.3 to 3", "touch")


def _smooth_noise(rng: np.random.RandomState, rows: int, columns: int, sd: float) -> np.ndarray:
    """Noise of mean 0 and variance 1, [rows, columns], smoothed by a gaussian of ``sd`` pixels."""
    across, down = _gaussian(columns, sd), _gaussian(rows, sd)
    smooth: np.ndarray = down @ rng.randn(rows, columns) @ across.T
    return smooth


def _gaussian(n: int, sd: float) -> np.ndarray:
    """[n, n]: each row weighs n values by a gaussian round its own place, its squares adding up to 1."""
    weights = np.exp(-((np.arange(n)[:, None] - np.arange(n)) ** 2) / (2 * sd**2))
    scaled: np.ndarray = weights / np.sqrt((weights**2).sum(1, keepdims=True))
    return scaled


def _lit(rng: np.random.RandomState, drawn: np.ndarray) -> np.ndarray:
    """The cells [h, w] under uneven light: a broad spot and a slope that add, and another spot that multiplies."""
    height, width = drawn.shape
    light = 0.12 + 0.2 * _spot(rng, height, width) + 0.1 * _slope(rng, height, width)
    lit: np.ndarray = light + (0.3 + 0.25 * _spot(rng, height, width)) * drawn
    return lit


def _spot(rng: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """A gaussian of height 1 somewhere in the picture, half as broad as the picture."""
    y = (np.arange(height) - rng.uniform(0, height)) / height
    x = (np.arange(width) - rng.uniform(0, width)) / width
    spot: np.ndarray = np.exp(-2 * y**2)[:, None] * np.exp(-2 * x**2)
    return spot


def _slope(rng: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """A plane from 0 to at most 1, rising in a random direction."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.arange(height) / height - 0.5, np.arange(width) / width - 0.5
    slope: np.ndarray = 0.5 + (math.sin(angle) * y[:, None] + math.cos(angle) * x) / math.sqrt(2)
    return slope
