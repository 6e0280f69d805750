"""Pictures: what is drawn is where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from airctl import draw_data
from airctl.reporting import scene_grid, scene_tile, step_colour
from airctl.reporting.charts import dataset_histograms
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


def test_a_data_file_is_drawn_with_its_histograms(data: Path, tmp_path: Path) -> None:
    """Above stand the scenes with their true boxes, below the histograms of the whole split, which others change."""
    drawn = np.asarray(Image.open(draw_data(data, out=tmp_path / "a.png")))
    split = read_split(data, "train")
    grid = scene_grid(
        split.images[:16] / 255, None, [b[:n] for b, n in zip(split.boxes[:16], split.counts[:16], strict=True)], None
    )
    assert np.array_equal(drawn[: grid.height, : grid.width], np.asarray(grid))
    assert drawn.shape[0] > grid.height + 100
    told = statistics(split)
    changed = dict(
        told, counts=[many + 50 for many in told["counts"]], scenes=told["scenes"] + 50 * len(told["counts"])
    )
    again, other = (
        np.asarray(dataset_picture(split.images[:16] / 255, [np.zeros((0, 4))] * 16, each)) for each in (told, changed)
    )
    assert np.array_equal(drawn[grid.height :], again[-(drawn.shape[0] - grid.height) :])
    assert not np.array_equal(again, other)


def test_the_histograms_have_a_bar_for_each_count_and_each_bin(data: Path) -> None:
    """As high as the split's statistics say, with the share of the scenes above; a black file needs no logarithm."""
    told = statistics(read_split(data, "train"))
    counts, pixels = dataset_histograms(told, ["words"], 900).figure.axes[:2]
    assert [bar.get_height() for bar in counts.patches] == told["counts"]
    assert [bar.get_height() for bar in pixels.patches] == told["pixel_histogram"]
    assert counts.texts[0].get_text() == f"{told['counts'][0] / told['scenes']:.0%}"
    assert pixels.get_yscale() == "log"
    dataset_picture(
        np.zeros((1, 9, 9)), [np.zeros((0, 4))], told | {"pixel_histogram": [0] * 16, "counts": [], "scenes": 0}
    )
