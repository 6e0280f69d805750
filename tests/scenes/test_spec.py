"""What is asked for: nothing that cannot be meant passes."""

import pytest

from airctl.errors import ConfigError
from airctl.scenes import SceneSpec


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
