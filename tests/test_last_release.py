"""What the last release wrote still loads: a run folder of its preset fast, its scene file, its config."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import airctl
from airctl import config
from airctl.scenes import read_attributes, read_split

KEPT = Path(__file__).parent / "data/last_release"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copy(KEPT / "scenes.h5", tmp_path)
    return Path(shutil.copytree(KEPT / "run", tmp_path / "run"))


def test_its_preset_fast_is_todays_recurrent_and_no_value_is_lost() -> None:
    """config.toml loads under the new names, with the values that it says under the old ones."""
    loaded = config.load(KEPT / "run/config.toml")
    assert loaded.preset == "recurrent"
    assert loaded.network.kind == "recurrent"
    assert (loaded.network.hidden, loaded.network.predict_hidden) == (8, 6)
    assert (loaded.count.probability, loaded.count.start, loaded.count.anneal_steps) == (0.01, 1.0, 300)
    assert loaded.likelihood.sd == 0.3


def test_its_run_evaluates_as_it_did(run: Path) -> None:
    """The counts of the network alone, of one sample, and the ELBO, to the last digit."""
    before = json.loads((run / "eval.json").read_text())
    result = airctl.evaluate(run, data=run.parent / "scenes.h5", device="cpu")
    assert result.count_accuracy == before["count_accuracy_amortised"]
    assert result.count_accuracy_sampled == before["count_accuracy_sampled"]
    assert result.elbo == pytest.approx(before["elbo"], abs=1e-4)
    assert result.data_sha256 == json.loads((run / "data.json").read_text())["sha256"]


def test_it_goes_on_where_it_stopped(run: Path) -> None:
    """Adam's moments are found under the parameters' new names, and the training ends at the new last step."""
    chosen = config.override(config.load(run / "config.toml"), ["train.steps=16"])
    result = airctl.train(run.parent / "scenes.h5", run, chosen, resume=True, threads=1, device="cpu")
    assert result.steps == 16


def test_its_scenes_read_as_they_were() -> None:
    """Attributes and splits, checked by their sha256."""
    assert read_attributes(KEPT / "scenes.h5")["train"] == 64
    assert read_split(KEPT / "scenes.h5", "test").images.shape == (24, 50, 50)
