"""Pictures of any kind: on the canvas of the training or whole, the same way back, and what is not counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airctl.commands.loaded import load
from airctl.errors import InputFileError
from airctl.inference import Box, Found
from airctl.inference.passes import CHUNK
from airctl.inference.pictures import find_in_pictures, view
from airctl.model import AIR
from airctl.scenes import Fitting, Picture, choose, develop, fit, read_scenes
from airctl.scenes.cells import cells


@pytest.fixture(scope="module")
def model(learnt: Path) -> AIR:
    return load(learnt).model


def found(*boxes: tuple[float, float, float, float, float]) -> Found:
    canvas = np.zeros((50, 50), np.uint8)
    return Found(
        image="p", count=len(boxes), first=0, probabilities=(0.5, 0.5), fit=1.0, at_limit=False, verdict="fine",
        boxes=tuple(Box(box[:4], box[4]) for box in boxes),
        picture=np.zeros((100, 200), np.uint8), canvas=canvas, reconstruction=canvas.astype(np.float32),
    )  # fmt: skip


def test_objects_can_be_left_out() -> None:
    """Below a probability, cut off by any of the four borders, or both; nothing else changes."""
    all_of_them = found(
        (10, 10, 20, 20, 0.9), (50, 50, 60, 60, 0.3), (0.5, 10, 9, 20, 0.8), (10, 0, 20, 9, 0.8),
        (150, 10, 199.5, 20, 0.8), (10, 80, 20, 100, 0.8), (1, 1, 199, 99, 0.5),
    )  # fmt: skip
    assert all_of_them.kept() is all_of_them
    assert all_of_them.kept(0.5).count == 6
    inside = all_of_them.kept(exclude_edges=True)
    assert [box.box[0] for box in inside.boxes] == [10, 50, 1]
    assert (inside.count, inside.probabilities) == (3, all_of_them.probabilities)
    assert [box.probability for box in all_of_them.kept(0.5, True).boxes] == [0.9, 0.5]
    assert all_of_them.kept(1.0).count == 0


def test_whole_pictures_are_the_same_in_tiles_of_any_size(model: AIR, photos: Path) -> None:
    """Counts, boxes in pixels of the picture and verdicts."""
    pictures = list(read_scenes([photos]))
    wanted = list(find_in_pictures(model, pictures, Fitting()))
    assert sum(one.count for one in wanted) > 0
    for tile in (32, 64):
        for one, other in zip(wanted, find_in_pictures(model, pictures, Fitting(), tile=tile), strict=True):
            assert (one.count, one.verdict, one.at_limit) == (other.count, other.verdict, other.at_limit)
            edges = [np.array([box.box for box in f.boxes]) for f in (one, other)]
            assert np.allclose(*edges, atol=1e-2)
            assert one.canvas.shape == one.reconstruction.shape


def test_a_picture_is_developed_as_the_training_was(model: AIR, photos: Path) -> None:
    """By the config's section picture; whoever says a size or asks for one is obeyed."""
    picture = next(read_scenes([photos]))
    how, side = model.config.picture, model.config.model.object_size
    assert np.array_equal(view(model, picture, Fitting()).canvas, develop(picture, how, side).canvas)
    halved = view(model, picture, Fitting(object_size=how.object_size * 2))
    assert halved.canvas.shape[0] == pytest.approx(develop(picture, how, side).canvas.shape[0] / 2, abs=1)
    asked = develop(picture, choose([picture], working_size=side), side)
    assert np.array_equal(view(model, picture, Fitting(object_size=0.0)).canvas, asked.canvas)
    upside = view(model, picture, Fitting(object_size=how.object_size, invert="yes"))
    assert not np.array_equal(upside.canvas, develop(picture, how, side).canvas)


def test_a_model_of_scenes_reads_small_pictures_on_its_canvas_and_large_ones_whole(model: AIR) -> None:
    """Without a section picture: fit=auto pads what is not larger, and looks at the rest pixel for pixel."""
    config = model.config
    model.config = replace(config, picture=type(config.picture)())
    try:
        small, large = (Picture("p", cells(n, *size, 20, 0).quantised(8)) for n, size in ((2, (50, 40)), (6, (90, 70))))
        assert view(model, small, Fitting()).canvas.shape == (50, 50)
        assert view(model, large, Fitting()).canvas.shape == (90, 70)
        assert np.array_equal(view(model, large, Fitting()).canvas, fit(large, 50, Fitting(fit="whole")).canvas)
        assert view(model, large, Fitting(fit="pad")).canvas.shape == (50, 50)
        pair = list(find_in_pictures(model, [small, large, small], Fitting()))
        assert [one.canvas.shape for one in pair] == [(50, 50), (90, 70), (50, 50)]
        assert pair[0].boxes == pair[2].boxes
        assert pair[0].reconstruction.shape == (50, 50)
    finally:
        model.config = config


def test_a_picture_without_objects_has_none_and_stops_no_others(model: AIR, photos: Path) -> None:
    """Blank, or too small to tell: 0 of them, even where sizes are found out; a size that was said must fit."""
    picture = next(read_scenes([photos]))
    blank = Picture("blank", np.full((90, 120), 70, np.uint8))
    tiny = Picture("tiny", np.zeros((3, 5), np.uint8))
    for how in (Fitting(), Fitting(object_size=0.0)):
        one, two, three = find_in_pictures(model, [blank, picture, tiny], how)
        assert not one.canvas.any()
        assert not three.canvas.any()
        assert two.image == picture.name
    with pytest.raises(InputFileError, match="tiny: objects of 18 pixels do not fit into 5x3"):
        view(model, tiny, Fitting(object_size=18.0))


def test_any_number_of_scenes_can_be_asked_for_at_once(model: AIR) -> None:
    """More than are read in one pass; each as if it were alone."""
    config = model.config
    model.config = replace(config, picture=type(config.picture)())
    try:
        scenes = [Picture(str(i), cells(i % 3, 50, 50, 12, i).quantised(8)) for i in range(CHUNK + 3)]
        all_of_them = list(find_in_pictures(model, scenes, Fitting()))
        assert [one.image for one in all_of_them] == [str(i) for i in range(CHUNK + 3)]
        (last,) = find_in_pictures(model, scenes[-1:], Fitting())
        assert (last.count, last.image) == (all_of_them[-1].count, all_of_them[-1].image)
    finally:
        model.config = config


def test_a_scene_is_found_alike_on_its_canvas_and_whole(model: AIR) -> None:
    """The objects of a crop in the middle of a large black picture are those of the crop alone, but for the count."""
    config = model.config
    model.config = replace(config, picture=type(config.picture)())
    try:
        scene = np.zeros((50, 50), np.uint8)
        scene[12:38, 12:38] = cells(1, 26, 26, 20, 0, noise=0).quantised(8)
        scene[scene < 80] = 0
        embedded = np.zeros((150, 150), np.uint8)
        embedded[48:98, 48:98] = scene  # whole cells of the map
        as_is = Fitting(invert="no", background=0)
        (alone,) = find_in_pictures(model, [Picture("a", scene)], as_is)
        (within,) = find_in_pictures(model, [Picture("b", embedded)], as_is)
        assert alone.canvas.shape == (50, 50)
        assert within.canvas.shape == (150, 150)
        assert alone.count > 0
        near = np.array([box.box for box in within.boxes]) - 48
        for box in alone.boxes:
            assert np.abs(near - box.box).max(1).min() < 5
    finally:
        model.config = config
