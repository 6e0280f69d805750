"""What a person says of a picture takes effect or is refused; a picture that it does not suit stops no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airctl.commands.loaded import load
from airctl.config import PictureConfig
from airctl.errors import ConfigError, InputFileError
from airctl.inference import check_choices, find_in_pictures
from airctl.inference.views import view
from airctl.model import AIR
from airctl.scenes import Fitting, Picture, read_scenes
from airctl.scenes.cells import cells


@pytest.fixture
def model(learnt: Path) -> AIR:
    """One that has learnt from pictures."""
    return load(learnt).model


@pytest.fixture
def plain(model: AIR) -> AIR:
    """The same as if it had learnt from composed scenes."""
    model.config = replace(model.config, picture=PictureConfig())
    return model


COLOURED = np.stack([cells(6, 60, 70, 16, seed).quantised(8) for seed in range(3)], 2)
CHOICES: list[dict[str, Any]] = [
    {"background": 30},
    {"fit": "pad"},
    {"fit": "whole"},
    {"fill": 0.5},
    {"resample": "nearest"},
    {"num_steps": 3},
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_what_only_the_canvas_obeys_is_refused_where_pictures_are_developed(model: AIR, choice: dict[str, Any]) -> None:
    """By a model that has learnt from pictures, or with a size; the sentence names the choice."""
    ((name, value),) = choice.items()
    num_steps = choice.get("num_steps")
    how = {} if num_steps else choice
    for size in (None, 0.0, 20.0):
        with pytest.raises(ConfigError, match=f"^{name}={value} has no effect ") as refused:
            check_choices(model, Fitting(object_size=size, **how), num_steps)
        assert name in refused.value.arguments


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_what_only_the_canvas_obeys_takes_effect_elsewhere(plain: AIR, choice: dict[str, Any]) -> None:
    """The view of a picture larger than the canvas differs from the usual one, which keeps its pixels."""
    picture, num_steps = Picture("p", 255 - COLOURED), choice.get("num_steps")
    fitting = Fitting(**({} if num_steps else choice))
    check_choices(plain, fitting, num_steps)
    usual, seen = view(plain, picture, Fitting()), view(plain, picture, fitting, num_steps)
    assert usual.canvas.shape == (60, 70)
    assert np.array_equal(seen.canvas, usual.canvas) == (choice == {"fit": "whole"})


@pytest.mark.parametrize("choice", [{"fill": 0.5}, {"resample": "area"}, {"num_steps": 3}], ids=str)
def test_what_only_a_resized_picture_obeys_is_refused_with_whole_ones(plain: AIR, choice: dict[str, Any]) -> None:
    """Where pictures keep their pixels there is no canvas to fill, and no steps are counted."""
    num_steps = choice.pop("num_steps", None)
    with pytest.raises(ConfigError, match="has no effect with fit=whole: leave it out"):
        check_choices(plain, Fitting(fit="whole", **choice), num_steps)
    check_choices(plain, Fitting(fit="whole", background=3))


@pytest.mark.parametrize("developed", [True, False])
@pytest.mark.parametrize("choice", [{"channel": "blue"}, {"channel": "brightest"}, {"invert": "yes"}], ids=str)
def test_channel_and_polarity_take_effect_with_every_model(model: AIR, developed: bool, choice: dict[str, str]) -> None:
    """Blue is what a grey picture of the blue channel gives."""
    if not developed:
        model.config = replace(model.config, picture=PictureConfig())
    picture = Picture("p", COLOURED)
    seen = view(model, picture, Fitting(**choice)).canvas
    assert not np.array_equal(seen, view(model, picture, Fitting()).canvas)
    if choice == {"channel": "blue"}:
        assert np.array_equal(seen, view(model, Picture("b", COLOURED[..., 2]), Fitting()).canvas)


def test_each_picture_has_its_own_polarity_if_that_is_said(model: AIR) -> None:
    """By a model that has learnt bright objects, dark ones are seen as such only with invert=each or yes."""
    bright = cells(9, 80, 90, 18, 3)
    dark = Picture("d", 255 - bright.quantised(8))
    seen = [view(model, dark, Fitting(invert=how)).canvas for how in ("each", "yes", "auto")]
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_a_picture_that_a_size_does_not_suit_is_refused_and_the_others_are_looked_at(model: AIR, photos: Path) -> None:
    """Too small for an object, or too large in memory; without a taker the first error is raised."""
    one, two, _ = read_scenes([photos])
    tiny = Picture("tiny", np.zeros((12, 90), np.uint8))
    refused: list[InputFileError] = []
    found = find_in_pictures(model, [tiny, one, tiny, two], Fitting(object_size=20.0), refuse=refused.append)
    assert [each.image for each in found] == [one.name, two.name]
    assert [str(error) for error in refused] == ["tiny: objects of 20 pixels do not fit into 90x12"] * 2
    with pytest.raises(InputFileError, match="tiny: objects"):
        list(find_in_pictures(model, [one, tiny], Fitting(object_size=20.0)))
    huge = Picture("huge", np.broadcast_to(np.uint8(0), (40_000, 40_000)))
    model.config = replace(model.config, picture=replace(model.config.picture, object_size=15.0))
    refused.clear()
    assert len(list(find_in_pictures(model, [huge, one], Fitting(), refuse=refused.append))) == 1
    assert ["cut it into parts" in str(error) for error in refused] == [True]


def test_a_size_without_a_shape_is_an_error_before_any_picture(model: AIR) -> None:
    """It is the choice that is wrong, not the pictures."""
    with pytest.raises(ConfigError, match="too small to have a shape"):
        check_choices(model, Fitting(object_size=2.0))
