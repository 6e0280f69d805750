"""Pictures of cells: what is told of them is what is drawn, and the same arguments give the same picture."""

import hashlib
import math
import time

import numpy as np
import pytest

from airctl.errors import ConfigError
from airctl.scenes import cells as module
from airctl.scenes.cells import CellPicture, Ellipse, cells, check_room, draw_cell


def distances(picture: CellPicture) -> np.ndarray:
    """Between the centres of each two cells, as shares of the sum of their radii."""
    first, second = np.triu_indices(len(picture.centres), 1)
    apart = np.hypot(*(picture.centres[first] - picture.centres[second]).T)
    return np.asarray(apart / (picture.radii[first] + picture.radii[second]))


@pytest.mark.parametrize("number", [0, 1, 150])
def test_there_are_as_many_cells_as_asked_for(number: int) -> None:
    """A box, a centre in its middle and a radius of each; all boxes lie inside the picture."""
    picture = cells(number, 300, 400, 20, 0)
    assert picture.pixels.shape == (300, 400)
    assert (picture.boxes.shape, picture.centres.shape, picture.radii.shape) == ((number, 4), (number, 2), (number,))
    middles = (picture.boxes[:, :2] + picture.boxes[:, 2:]) / 2
    assert np.abs(middles - picture.centres).max(initial=0) < 1e-9
    assert (picture.boxes >= 0).all()
    assert (picture.boxes <= [400, 300, 400, 300]).all()


def test_the_same_seed_gives_the_same_bytes() -> None:
    """As ever: a changed sha256 is a changed picture, and needs a line in the changelog; another seed, another one."""
    first = cells(60, 200, 300, 20, 7).quantised(8)
    assert (
        hashlib.sha256(first.tobytes()).hexdigest()
        == "ff522d0ee36b087ba2849d1c7ca94c3deda3b511a1836bb5c9b32b6b81669eff"
    )
    assert np.array_equal(first, cells(60, 200, 300, 20, 7).quantised(8))
    assert not np.array_equal(first, cells(60, 200, 300, 20, 8).quantised(8))


@pytest.mark.parametrize("touch", [0.6, 0.85, 1.0])
def test_centres_are_as_far_apart_as_asked_for(touch: float) -> None:
    """No two nearer than ``touch`` times the sum of their radii, and some as near as that: cells touch."""
    for seed in range(3):
        near = distances(cells(200, 400, 600, 20, seed, touch=touch))
        assert near.min() >= touch
        assert np.count_nonzero(near < touch * 1.15) > 50


def test_sizes_are_those_asked_for() -> None:
    """Longer axes of 0.8 to 1.25 diameters, over all of that range."""
    diameters = 2 * cells(200, 600, 900, 24, 0).radii
    assert 0.8 * 24 <= diameters.min() < 0.85 * 24
    assert 1.2 * 24 < diameters.max() <= 1.25 * 24


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, 2.5])
def test_a_box_is_that_of_what_is_drawn(angle: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels of at least half the rim's brightness reach each side of it, to a pixel; a circle's box is another."""
    monkeypatch.setattr(module, "TEXTURE", 0)
    monkeypatch.setattr(module, "BRIGHTNESSES", (1, 1))
    ellipse = Ellipse(101.3, 98.6, 60, 0.7, angle)
    drawn = draw_cell(np.random.RandomState(0), ellipse, 0, 0, 200, 200)
    rim = 0.7 + 0.3 * math.exp(-2)
    rows, columns = np.nonzero(drawn >= rim / 2)
    edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(edges - ellipse.box).max() < 1
    circle = Ellipse(101.3, 98.6, 60, 1.0, angle)
    assert np.abs(edges - circle.box).max() > 3
    assert np.count_nonzero(drawn) < math.pi * 60 * 42 * (1 + module.EDGE / 2) ** 2 * 1.01, "beyond the edge is nothing"


def test_cells_are_as_bright_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks fill 0.7 to 1 where there is no texture; with it the inside varies by about an eighth."""
    ellipse = Ellipse(20.5, 20.5, 15, 0.9, 0.3)
    textured = [draw_cell(np.random.RandomState(seed), ellipse, 0, 0, 41, 41) for seed in range(100)]
    monkeypatch.setattr(module, "TEXTURE", 0)
    plain = [draw_cell(np.random.RandomState(seed), ellipse, 0, 0, 41, 41) for seed in range(100)]
    peaks = np.array([drawn.max() for drawn in plain])
    assert 0.7 <= peaks.min() < 0.72
    assert 0.98 < peaks.max() <= 1
    ratios = np.array([a[15:26, 15:26] / b[15:26, 15:26] for a, b in zip(textured, plain, strict=True)])
    assert ratios.std() == pytest.approx(0.12, abs=0.02)  # a little less: what is over 1 is cut
    assert all(0 <= drawn.min() <= drawn.max() <= 1 for drawn in textured)


def test_pixels_are_brighter_where_the_cells_are() -> None:
    """By 0.2 or more without noise, all pixels from 0 to 1; the ground is uneven."""
    picture = cells(40, 240, 360, 20, 3, noise=0)
    columns, rows = picture.centres.astype(int).T
    y, x = np.mgrid[:240, :360] + 0.5
    away = np.hypot(x - picture.centres[:, 0, None, None], y - picture.centres[:, 1, None, None])
    ground = picture.pixels[(away > 20).all(0)]
    assert np.median(picture.pixels[rows, columns]) > np.median(ground) + 0.2
    assert ground.max() > ground.min() + 0.1
    assert 0 <= picture.pixels.min() < picture.pixels.max() <= 1


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_noise_has_its_standard_deviation(noise: float) -> None:
    """The difference to the picture without noise, whose cells are the same, within five standard errors."""
    clean, noisy = (cells(30, 200, 300, 20, 1, noise=sd) for sd in (0, noise))
    assert np.array_equal(clean.boxes, noisy.boxes)
    inside = (clean.pixels > 6 * noise) & (clean.pixels < 1 - 6 * noise)  # nothing is cut there
    number = np.count_nonzero(inside)
    assert number > 1000
    error = (noisy.pixels - clean.pixels)[inside].std() - noise
    assert abs(error) < 5 * noise / math.sqrt(2 * number)


def test_dark_is_the_picture_inverted() -> None:
    """Pixels are 1 minus those of the bright picture, boxes and centres the same."""
    bright, dark = (cells(30, 200, 300, 20, 1, dark=dark) for dark in (False, True))
    assert np.array_equal(dark.pixels, 1 - bright.pixels)
    assert np.array_equal(dark.boxes, bright.boxes)
    assert dark.pixels.mean() > 0.5 > bright.pixels.mean()


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_quantised_pixels_use_all_bits(bits: int, kind: type) -> None:
    """White is the largest number of so many bits, and no pixel is off by more than half a step."""
    picture = cells(10, 100, 100, 10, 0)
    numbers = picture.quantised(bits)
    assert numbers.dtype == kind
    assert np.abs(numbers / (2**bits - 1) - picture.pixels).max() <= 0.5 / (2**bits - 1) + 1e-12
    assert CellPicture(np.ones((1, 1)), *[np.zeros(0)] * 3).quantised(bits) == 2**bits - 1


def test_cells_that_do_not_fit_are_refused() -> None:
    """In one sentence with the number that did fit, and so many do; without a drawing, too."""
    with pytest.raises(
        ConfigError, match=r"^500 cells of 20 pixels do not fit a picture of 300 x 200: 1[0-3]\d did"
    ) as one:
        cells(500, 200, 300, 20, 0)
    with pytest.raises(ConfigError) as other:
        check_room(500, 200, 300, 20, 0)
    assert str(one.value) == str(other.value)
    with pytest.raises(ConfigError, match=r"1 cells of 20 pixels do not fit a picture of 300 x 9: 0 did"):
        cells(1, 9, 300, 20, 0)
    check_room(100, 200, 300, 20, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"number": -1}, "number=-1: expected"),
        ({"height": 0}, "a picture of 100 x 0 pixels"),
        ({"width": 10**9}, "a picture of 1000000000 x 100 pixels"),
        ({"diameter": 1}, "diameter=1: expected"),
        ({"diameter": math.nan}, "diameter=nan: expected"),
        ({"touch": 0}, "touch=0: expected"),
        ({"noise": -0.1}, "noise=-0.1: expected"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: dict, sentence: str) -> None:
    """Before anything is drawn."""
    with pytest.raises(ConfigError, match=sentence):
        cells(**{"number": 1, "height": 100, "width": 100, "diameter": 10, "seed": 0, **arguments})


def test_many_cells_are_placed_in_seconds() -> None:
    """9 000 cells, touching, on 4000 x 3000 pixels: half a second, but 26 if each try met all cells."""
    start = time.perf_counter()
    check_room(9_000, 3000, 4000, 30, 0)
    assert time.perf_counter() - start < 5
