"""Label masks as tifffile reads them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from samples import ACROSS, INSIDE, found

from airctl.formats.labels import Labels, label_mask
from airctl.results.found import FoundObject
from airctl.results.units import Edges


def extent(labels: np.ndarray, number: int) -> Edges:
    """x0, y0, x1, y1 of the pixels of an object."""
    y, x = np.nonzero(labels == number)
    return float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)


def test_objects_come_back_through_tifffile(tmp_path: Path) -> None:
    """uint16 [height, width]; each region fills its box to a pixel, the picture without objects is all background."""
    with Labels(tmp_path) as labels:
        labels.add(found("x.png", *INSIDE))
        labels.add(found("empty.png"))
    read = tifffile.imread(tmp_path / "0001_x.tif")
    assert (read.shape, read.dtype) == ((40, 60), np.uint16)
    assert np.unique(read).tolist() == [0, 1, 2]
    for number, box in enumerate(INSIDE, 1):
        np.testing.assert_allclose(extent(read, number), box, atol=1.0)
    empty = tifffile.imread(tmp_path / "0002_empty.tif")
    assert empty.shape == (40, 60)
    assert not empty.any()


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5])
def test_a_region_is_the_ellipse_in_its_box(shift: float) -> None:
    """Area pi a b and moments a^2 / 4, b^2 / 4 about the middle of the box; a filled box would have others."""
    a, b = 60.0, 35.0
    box = (10 + shift, 12 + shift, 10 + shift + 2 * a, 12 + shift + 2 * b)
    y, x = np.nonzero(label_mask(found("x.png", box, width=150, height=100)))
    assert len(x) == pytest.approx(math.pi * a * b, rel=0.005)
    assert (x + 0.5).mean() == pytest.approx(10 + shift + a, abs=0.1)
    assert (y + 0.5).mean() == pytest.approx(12 + shift + b, abs=0.1)
    assert x.var() == pytest.approx(a**2 / 4, rel=0.01)
    assert y.var() == pytest.approx(b**2 / 4, rel=0.01)


def test_what_lies_outside_is_cut_off() -> None:
    """A box across the border has the part of its own ellipse, not the ellipse of its part."""
    whole = label_mask(found("x.png", (ACROSS[0] + 20, ACROSS[1] - 20, ACROSS[2] + 20, ACROSS[3] - 20)))
    part = label_mask(found("x.png", ACROSS))
    np.testing.assert_array_equal(part[20:, :20], whole[:20, 20:40])
    assert part.any()


@pytest.mark.parametrize(
    "box", [(5.6, 7.6, 5.9, 7.9), (5.2, 7.3, 5.2, 7.3), (61.0, 3.0, 65.0, 9.0), (-5.0, -5.0, -1.0, -1.0)]
)
def test_every_object_has_a_pixel(box: Edges) -> None:
    """Too small to hold the middle of one, without area, or outside: it has the nearest."""
    labels = label_mask(found("x.png", box))
    ((y, x),) = np.argwhere(labels == 1)
    middle = (min(max((box[1] + box[3]) / 2, 0), 40), min(max((box[0] + box[2]) / 2, 0), 60))
    assert abs(y + 0.5 - middle[0]) <= 0.5 + 1e-9
    assert abs(x + 0.5 - middle[1]) <= 0.5 + 1e-9


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_small_object_is_in_front_of_a_large_one(order: tuple[int, int]) -> None:
    """Whichever was found first, both can be seen."""
    large, small = (5.0, 5.0, 35.0, 35.0), (15.0, 15.0, 20.0, 20.0)
    boxes = [(large, small)[i] for i in order]
    labels = label_mask(found("x.png", *boxes))
    assert labels[17, 17] == boxes.index(small) + 1
    assert labels[8, 20] == boxes.index(large) + 1


def test_more_objects_than_16_bits_have_32(tmp_path: Path) -> None:
    """65 535 objects fit into uint16, one more does not, and its number is kept."""
    many = [FoundObject((float(i % 300), float(i // 300), i % 300 + 1.0, i // 300 + 1.0), 1.0) for i in range(2**16)]
    picture = replace(found("x.png", width=300, height=219), count=len(many), boxes=many)
    assert label_mask(replace(picture, boxes=many[:-1])).dtype == np.uint16
    with Labels(tmp_path) as labels:
        labels.add(picture)
    read = tifffile.imread(tmp_path / "0001_x.tif")
    assert (read.dtype, read.max()) == (np.uint32, 2**16)
    np.testing.assert_array_equal(read.ravel()[: 2**16], np.arange(1, 2**16 + 1))
