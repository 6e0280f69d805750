"""Text files of YOLO: shares of the picture's sides, as supervision's and ultralytics' readers take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from samples import ACROSS, INSIDE, found

from airctl.formats.yolo import Yolo


def edges(path: Path, width: int, height: int) -> np.ndarray:
    """x0, y0, x1, y1 in pixels [n, 4] of a file, by the definition of the format."""
    _, x, y, w, h = np.loadtxt(path, ndmin=2).T
    return np.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], 1)


def test_boxes_come_back_within_half_a_pixel(tmp_path: Path) -> None:
    """Also in a picture of 50 000 pixels a side, for which six decimals are few."""
    large = (12345.6, 40000.1, 23456.7, 49999.9)
    with Yolo(tmp_path) as yolo:
        yolo.add(found("x.png", *INSIDE))
        yolo.add(found("large.png", large, width=50_000, height=50_000))
    np.testing.assert_allclose(edges(tmp_path / "0001_x.txt", 60, 40), INSIDE, atol=1e-3)
    np.testing.assert_allclose(edges(tmp_path / "0002_large.txt", 50_000, 50_000), [large], atol=0.1)


def test_every_row_is_of_class_0_and_within_0_and_1(tmp_path: Path) -> None:
    """What readers refuse otherwise, for a box across the border and one outside; each object keeps its row."""
    with Yolo(tmp_path) as yolo:
        yolo.add(found("x.png", ACROSS, (-9.0, -9.0, 70.0, 70.0), (61.0, 3.0, 65.0, 9.0)))
    rows = np.loadtxt(tmp_path / "0001_x.txt", ndmin=2)
    assert rows.shape == (3, 5)
    assert (rows[:, 0] == 0).all()
    assert ((rows[:, 1:] >= 0) & (rows[:, 1:] <= 1)).all()
    np.testing.assert_allclose(edges(tmp_path / "0001_x.txt", 60, 40)[0], (0, 25.1, 6.2, 40), atol=1e-3)


def test_a_picture_without_objects_has_an_empty_file(tmp_path: Path) -> None:
    """Trainers take a picture without a file for one that nobody has labelled."""
    with Yolo(tmp_path) as yolo:
        yolo.add(found("empty.png"))
    assert (tmp_path / "0001_empty.txt").read_bytes() == b""
    assert (tmp_path / "classes.txt").read_text() == "object\n"
