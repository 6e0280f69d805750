"""What a split is like, in numbers that can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from airctl.scenes import SceneSplit, statistics


def split(images: np.ndarray, boxes: list[list[tuple[int, int, int, int]]]) -> SceneSplit:
    slots = max(1, *(len(b) for b in boxes))
    padded = np.array([[*b, *[(-1,) * 4] * (slots - len(b))] for b in boxes], np.int16)
    n = len(images)
    none = np.zeros((n, slots))
    return SceneSplit(images, np.array([len(b) for b in boxes], np.uint8), none, padded, none, none)


def test_numbers_of_scenes_made_by_hand() -> None:
    """Counts, mean and sd of the pixels, shares of black and white, the mean box and the share of touching pairs."""
    images = np.zeros((4, 10, 10), np.uint8)
    images[1, :2] = 255
    images[2, 0] = 100
    apart, touching = [(0, 0, 4, 2), (5, 5, 9, 7)], [(0, 0, 4, 4), (3, 3, 5, 5)]
    told = statistics(split(images, [[], [(0, 0, 2, 2)], apart, touching]))
    assert told["counts"] == [1, 1, 2]
    assert told["mean_pixel"] == pytest.approx(images.mean())
    assert told["pixel_sd"] == pytest.approx(images.std())
    assert (told["black"], told["white"]) == (370 / 400, 20 / 400)
    assert told["mean_pixel_by_count"] == pytest.approx({0: 0.0, 1: 51.0, 2: 5.0})
    assert [told["pixel_histogram"][i] for i in (0, 6, 15)] == [370, 10, 20]
    assert told["mean_box"] == pytest.approx([(2 + 4 + 4 + 4 + 2) / 5, (2 + 2 + 2 + 4 + 2) / 5])
    assert told["overlap"] == 0.5


def test_boxes_that_only_touch_do_not_overlap() -> None:
    """Edges are exclusive: a shared edge is no shared pixel, and one object cannot overlap its padding."""
    images = np.zeros((2, 8, 8), np.uint8)
    assert statistics(split(images, [[(0, 0, 4, 4), (4, 0, 8, 4)], []]))["overlap"] == 0
    assert statistics(split(images, [[], []]))["mean_box"] is None
