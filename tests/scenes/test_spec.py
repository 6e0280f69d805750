"""What is asked for: the size of an object follows from it, and nothing that cannot be meant passes."""

import numpy as np
import pytest

from airctl.errors import ConfigError
from airctl.scenes import Glyphs, SceneSpec

from .conftest import make_glyphs


def test_an_object_with_its_margin_is_a_glyph_of_mean_scale(glyphs: Glyphs) -> None:
    """28 / 1.3 pixels for MNIST's glyphs, 14 at scale 2, the longer side of a tall one; none without objects."""
    tall = make_glyphs(np.full((4, 40, 10), 255, np.uint8), np.zeros(4, np.uint8), test=1)
    assert SceneSpec().object_size(glyphs) == pytest.approx(21.538, abs=1e-3)
    assert SceneSpec(scale_mean=2).object_size(glyphs) == 14
    assert SceneSpec(scale_mean=2).object_size(tall) == 20
    assert SceneSpec(max_digits=0).object_size(glyphs) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "pyre"},
        {"seed": -1},
        {"seed": 2**32},
        {"max_digits": 10},
        {"max_digits": -1},
        {"min_digits": -1},
        {"min_digits": 3},
        {"min_digits": 10, "max_digits": 10},
        {"scale_mean": 0.0},
        {"scale_mean": -1.3},
        {"scale_mean": float("nan")},
        {"scale_mean": float("inf")},
        {"scale_sd": -0.1},
        {"scale_sd": float("nan")},
        {"scale_sd": 0.25},
        {"scale_mean": 0.5},
        {"canvas": 1},
        {"canvas": 10**6},
        {"train": -1},
        {"test": -5},
        {"train": 0, "test": 0},
        {"train": 10**8},
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(wrong: dict) -> None:
    """Before any work, as a usage error."""
    with pytest.raises(ConfigError) as caught:
        SceneSpec(**wrong)
    assert caught.value.exit_code == 2
