"""A config is a few bytes: what it asks for is counted before it is spent."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import tiny

import airctl
from airctl import config as configs
from airctl.errors import ConfigError, InputFileError
from airctl.training import Learner, exported
from airctl.training.memory import Bounded


def test_a_config_that_asks_for_terabytes_is_refused_before_anything_is_built(
    data: Path, finished: Path, tmp_path
) -> None:
    """Of a training, of a checkpoint and of an exported model: one sentence, and no memory spent."""
    huge = ("network.embedding=raw", "network.hidden=8192", "model.canvas=4096")
    with pytest.raises(ConfigError, match="more than this machine's memory") as refused:
        Learner.build(tiny(*huge), torch.device("cpu"))
    assert "\n" not in str(refused.value)
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    airctl.export(finished, tmp_path / "a.airctl")
    loaded = airctl.load(finished, device="cpu")
    (run / "config.toml").write_text(configs.dumps(tiny(*huge)))
    with pytest.raises(InputFileError, match="asks for more weights than a file of"):
        airctl.load(run, device="cpu")
    large = replace(loaded.config, network=tiny(*huge).network, model=tiny(*huge).model)
    exported.write(tmp_path / "b.airctl", "b", 12, large, loaded.data, loaded.weights_sha256, loaded.model)
    with pytest.raises(InputFileError, match="asks for more weights than a file of"):
        airctl.load(tmp_path / "b.airctl", device="cpu")
    assert airctl.load(tmp_path / "a.airctl", device="cpu").step == 12  # the control


def test_tensors_are_counted_before_they_are_made() -> None:
    """Sizes as numbers, as a tuple and by name, of any type; up to the bound they are made."""
    error = ConfigError("too much")
    with Bounded(80, error):
        assert len(torch.zeros(2, 5)) == 2  # 40 bytes
        assert len(torch.empty((5,), dtype=torch.float64)) == 5  # and 40
        for make in (
            lambda: torch.ones(1),
            lambda: torch.zeros(size=(1 << 40, 1 << 10)),
            lambda: torch.full((2,), 1.0),
        ):
            with pytest.raises(ConfigError, match="too much"):
                make()
