"""Pictures: what is drawn is where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from airctl import draw_data
from airctl.reporting import scene_grid, scene_tile, step_colour
from airctl.reporting.charts import accuracy_curves
from airctl.reporting.dataset import dataset_picture
from airctl.scenes import read_split, statistics


def test_boxes_are_drawn_at_their_pixels_in_their_steps_colours() -> None:
    """A box from (2, 3) to (6, 8) on a zoom of 4 has its outline there, step 2's in another colour than step 1's."""
    tile = scene_tile(np.zeros((10, 10)), np.array([[2, 3, 6, 8], [0, 0, 10, 10]]), 4)
    assert tile.size == (40, 40)
    assert tile.getpixel((8, 20)) == ImageColor.getrgb(step_colour(0))
    assert tile.getpixel((0, 20)) == ImageColor.getrgb(step_colour(1))
    assert tile.getpixel((16, 20)) == (0, 0, 0)


def test_a_grid_has_a_place_for_each_scene() -> None:
    """Five scenes in columns of three make two rows, and the picture is wide enough for three."""
    images = np.zeros((5, 10, 10))
    picture = scene_grid(images, images, [np.zeros((0, 4))] * 5, np.zeros(5, int), columns=3, zoom=2)
    narrow = scene_grid(images[:3], images[:3], [np.zeros((0, 4))] * 3, None, columns=3, zoom=2)
    assert picture.width == narrow.width > 3 * 20
    assert picture.height - narrow.height > 2 * 20


def test_curves_are_drawn_at_their_accuracies() -> None:
    """The better one first, in the first colour: at 100 % its line lies above that of 50 %, in each of two panels."""
    curves = {"half": [(0.0, 0.5), (10.0, 0.5)], "all": [(0.0, 1.0), (10.0, 1.0)]}
    picture = accuracy_curves({"step": curves, "seconds": curves})
    first, second = (ImageColor.getrgb(step_colour(index)) for index in range(2))
    column = [picture.getpixel((300, y)) for y in range(picture.height)]
    rows = [[y for y, colour in enumerate(column) if colour == wanted] for wanted in (first, second)]
    half = picture.height // 2
    for panel in (range(half), range(half, picture.height)):
        assert max(y for y in rows[0] if y in panel) < min(y for y in rows[1] if y in panel)


def test_a_data_file_is_drawn_with_its_histograms(data: Path, tmp_path: Path) -> None:
    """Below the scenes stand the bars, and they are those of the split: a file without objects has one of them."""
    drawn = np.asarray(Image.open(draw_data(data, out=tmp_path / "a.png")))
    split = read_split(data, "train")
    grid = scene_grid(
        split.images[:16] / 255, None, [b[:n] for b, n in zip(split.boxes[:16], split.counts[:16], strict=True)], None
    )
    assert np.array_equal(drawn[: grid.height, : grid.width], np.asarray(grid))
    bars = (drawn[grid.height :] == ImageColor.getrgb("#56B4E9")).all(-1)
    assert bars[:, :310].any(0).sum() > 3 * 60  # three counts
    told = statistics(split) | {"counts": [120]}
    fewer = np.asarray(dataset_picture(split.images[:16] / 255, [np.zeros((0, 4))] * 16, told))
    assert 60 < (fewer[-160:, :300] == ImageColor.getrgb("#56B4E9")).all(-1).any(0).sum() < 150
