"""The size of an object: stored when scenes are composed, the number that training took from the true boxes before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from airctl.scenes import (
    Glyphs,
    SceneSpec,
    compose_scenes,
    ink_size,
    object_size,
    read_attributes,
    read_split,
    told_size,
    write_scenes,
)


@pytest.mark.parametrize("settings", [{}, {"scale_mean": 2.0, "scale_sd": 0.3}, {"canvas": 80, "max_digits": 5}])
def test_a_file_stores_what_its_boxes_say_to_the_last_bit(
    tmp_path: Path, glyphs: Glyphs, settings: dict[str, float]
) -> None:
    """Read back, 1.35 times the mean longer side of the boxes, rounded as before there was such an attribute."""
    spec = SceneSpec(train=120, test=30, **settings)  # type: ignore[arg-type]
    train, test = compose_scenes(spec, glyphs)
    write_scenes(tmp_path / "s.h5", spec, glyphs, train, test)
    told, boxes = read_attributes(tmp_path / "s.h5"), train.boxes[train.boxes[..., 0] >= 0].astype(float)
    before = float(round(1.35 * (boxes[:, 2:] - boxes[:, :2]).max(1).mean(), 1))
    assert told["ink_size"] == ink_size(train.boxes) != ink_size(test.boxes)
    assert told_size(told) == object_size(told, read_split(tmp_path / "s.h5", "train").boxes, spec.canvas) == before


def test_training_on_such_a_file_looks_at_no_box(tmp_path: Path, glyphs: Glyphs) -> None:
    """With other boxes the size is the same; the control is a file of before, whose boxes are looked at."""
    spec = SceneSpec(train=50, test=0)
    train, test = compose_scenes(spec, glyphs)
    write_scenes(tmp_path / "s.h5", spec, glyphs, train, test)
    told = read_attributes(tmp_path / "s.h5")
    lying = replace(train, boxes=np.where(train.boxes >= 0, 2 * train.boxes, -1).astype(np.int16))
    assert object_size(told, lying.boxes, spec.canvas) == object_size(told, train.boxes, spec.canvas)
    older = {name: value for name, value in told.items() if name != "ink_size"} | {"object_size": 28 / 1.3}
    assert told_size(older) is None
    assert object_size(older, train.boxes, spec.canvas) == object_size(told, train.boxes, spec.canvas)
    twice = 2 * object_size(told, train.boxes, spec.canvas)
    assert object_size(older, lying.boxes, spec.canvas) == pytest.approx(twice, rel=0.01)


def test_without_objects_it_is_a_quarter_of_the_canvas(tmp_path: Path, glyphs: Glyphs) -> None:
    """Nothing is stored."""
    spec = SceneSpec(train=5, test=0, max_digits=0)
    train, test = compose_scenes(spec, glyphs)
    write_scenes(tmp_path / "s.h5", spec, glyphs, train, test)
    told = read_attributes(tmp_path / "s.h5")
    assert "ink_size" not in told
    assert object_size(told, train.boxes, spec.canvas) == spec.canvas / 4


def test_a_file_that_says_nonsense_is_refused(scene_file: Path) -> None:
    """As every other attribute."""
    from airctl.errors import InputFileError

    for wrong in (np.nan, 0.0, -3.0, 50.5):
        with h5py.File(scene_file, "r+") as file:
            file.attrs["ink_size"] = wrong
        with pytest.raises(InputFileError, match="says ink_size"):
            read_attributes(scene_file)
