"""A small scene file and a small trained run, made once: font digits, a tiny model, a dozen steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from airctl import config
from airctl.commands.train import train
from airctl.scenes import SceneSpec, generate_data

TINY = (
    "model.hidden=16",
    "model.what=5",
    "model.predict_hidden=12",
    "model.glimpse_hidden=12",
    "model.glimpse=10",
    "objective.baseline_hidden=8",
    "train.batch=8",
    "train.validation=40",
    "train.validate_every=4",
    "train.checkpoint_every=5",
    "train.steps=12",
)


def tiny(*settings: str, preset: str = "fast") -> config.Config:
    """A config that trains in a second."""
    return config.override(config.preset(preset), [*TINY, *settings])


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 train and 40 test scenes of font digits."""
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    generate_data(path, SceneSpec(train=120, test=40), digits="font", say=lambda message: None)
    return path


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps with the neural baseline; tests must not write to it."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    train(data, run, tiny("objective.estimator=score-function-neural"), threads=1)
    return run
