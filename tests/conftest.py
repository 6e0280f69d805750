"""What every test shares: one thread, the same examples in every run, and a model small enough to enumerate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, settings

from airctl.config import Config, override

torch.set_num_threads(1)
# A shared machine is slow at times: no example has a deadline. Derandomised, so that a failure is there again.
settings.register_profile("airctl", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airctl")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--summary`` is for tests/reliability."""
    parser.addoption("--summary", help="write what was tried and what held into this Markdown file")


TINY = (
    "model.canvas=12",
    "model.num_steps=3",
    "model.glimpse=6",
    "model.what=4",
    "model.hidden=8",
    "model.predict_hidden=7",
    "model.glimpse_hidden=9",
    "model.present_bias=0.3",  # every count gets a fair share of q(n)
    "objective.baseline_hidden=5",
)


@pytest.fixture
def tiny_config() -> Callable[..., Config]:
    """tiny_config("model.embedding=raw", ...): the small config with these settings on top."""
    return lambda *settings: override(Config(), (*TINY, *settings))
