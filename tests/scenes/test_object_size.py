"""How large the objects of a picture are, and whether they are bright: against pictures of which it is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from airctl.scenes.cells import cells
from airctl.scenes.object_size import blobs, bright_or_dark


def discs(diameter: float, seed: int = 0) -> np.ndarray:
    """Twenty discs with soft edges that do not touch, float [h, w] from 0 to 1, on a noisy ground."""
    random = np.random.RandomState(seed)
    pitch = 1.6 * diameter
    height, width = int(4 * pitch), int(5 * pitch)
    y, x = np.mgrid[:height, :width] + 0.5
    picture = np.zeros((height, width))
    for row in range(4):
        for column in range(5):
            at = (np.array([row, column]) + 0.5) * pitch + random.uniform(-0.15, 0.15, 2) * diameter
            picture = np.maximum(picture, np.clip(diameter / 2 + 0.5 - np.hypot(y - at[0], x - at[1]), 0, 1))
    return picture * 0.7 + 0.1 + random.normal(0, 0.02, picture.shape)


@pytest.mark.parametrize("diameter", [8, 12, 20, 33, 50, 90, 200])
def test_discs_have_the_size_that_they_are_drawn_with(diameter: int) -> None:
    """Within a fifth, the margin of soft edges included; the number of discs is that of the strong blobs."""
    found = blobs(discs(diameter))
    assert abs(found.size / diameter - 1) < 0.2
    near = np.abs(found.diameter / diameter - 1) < 0.2
    assert 18 <= near.sum() <= 22


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("number", [40, 100, 200, 300])
def test_cells_are_told_from_their_ground_however_many(number: int, dark: bool) -> None:
    """Few on much ground or many that touch, bright or dark: the polarity is right, the size within a quarter."""
    for seed in range(2):
        picture = cells(number, 440, 560, 24, seed, dark=dark).pixels
        found, inverted = bright_or_dark(picture)
        assert inverted == dark
        assert abs(found.size / 24 - 1) < 0.25


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_blank_picture_has_no_size(value: float) -> None:
    """No blobs, and NaN; a single disc has one."""
    blank = np.full((100, 120), value)
    assert math.isnan(blobs(blank).size)
    assert math.isnan(bright_or_dark(blank)[0].size)
    assert not math.isnan(blobs(discs(20)[:32, :32]).size)


def test_a_picture_without_an_octave_has_no_size() -> None:
    """Fewer pixels a side than can be looked at; no error."""
    assert math.isnan(blobs(discs(8)[:20, :20]).size)


def test_coins_are_as_large_as_they_are() -> None:
    """The photograph of coins that comes with scikit-image: about 46 pixels, bright."""
    path = Path(skimage.__file__).parent / "data/coins.png"
    found, inverted = bright_or_dark(np.asarray(Image.open(path)) / 255)
    assert not inverted
    assert 40 < found.size < 52
