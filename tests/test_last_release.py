"""What the last release wrote still loads: a run folder of its preset fast, its scene file, its config."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import airctl
from airctl import config
from airctl.objectives import estimator
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


def older(name: str) -> str:
    """The config.toml that a run of preset ``name`` wrote before the keys that came later."""
    added = ("baseline_head", "start =", "reward_constant")
    was = config.override(config.preset(name), ["prior.where_scale=[0.1, 1.0, 1.0]", "network.present_bias=2.0"])
    lines = config.dumps(was).splitlines()
    counted = lines.index("[count]"), lines.index("[prior]")  # count.start is no new key
    kept = [x for i, x in enumerate(lines) if not x.startswith(added) or counted[0] < i < counted[1]]
    return "\n".join(kept)


def test_an_older_run_of_the_report_keeps_its_network_its_baseline_and_its_prior() -> None:
    """Its file says all keys of its time: those that came later have the values that the code had then."""
    loaded = config.loads(older("report-2019"), "config.toml")
    assert (loaded.network.start, loaded.network.present_bias) == ("near", 2.0)
    assert (loaded.objective.baseline_head, loaded.objective.reward_constant) == (0, 0.0)
    assert loaded.prior.where_scale == (0.1, 1.0, 1.0)
    assert "baseline.head.weight" in estimator("report-2019", loaded).modules.state_dict()


def test_a_few_keys_of_ones_own_are_no_older_run() -> None:
    """Negative control: a file that is not a run's departs from the preset of today in what it says, and no more."""
    loaded = config.loads('preset = "report-2019"\n[train]\nsteps = 5\n', "mine.toml")
    assert loaded == config.override(config.preset("report-2019"), ["train.steps=5"])
    assert (loaded.network.start, loaded.objective.baseline_head) == ("plain", 200)
    assert config.loads(config.dumps(loaded), "config.toml") == loaded


def test_it_goes_on_where_it_stopped(run: Path) -> None:
    """Adam's moments are found under the parameters' new names, and the training ends at the new last step."""
    chosen = config.override(config.load(run / "config.toml"), ["train.steps=16"])
    result = airctl.train(run.parent / "scenes.h5", run, chosen, resume=True, threads=1, device="cpu")
    assert result.steps == 16


def test_its_scenes_read_as_they_were() -> None:
    """Attributes and splits, checked by their sha256."""
    assert read_attributes(KEPT / "scenes.h5")["train"] == 64
    assert read_split(KEPT / "scenes.h5", "test").images.shape == (24, 50, 50)
