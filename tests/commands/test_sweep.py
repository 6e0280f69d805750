"""A sweep leaves no run out of its table, and goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import TINY

from airctl.commands.sweep import parse_seeds, parse_variations, steps_to, summary, sweep
from airctl.errors import AirctlError, ConfigError
from airctl.reporting import sweep_table

OPTIONS = [word for setting in TINY for word in ("--set", setting)]


def test_two_seeds_make_two_runs_and_a_table_and_are_not_trained_again(data: Path, tmp_path: Path) -> None:
    """Every run is there with its own seed; a second call reads what the first has made."""
    result = sweep(data, tmp_path, [0, 1], options=OPTIONS, jobs=1)
    assert [(row["run"], row["seed"], row["steps"]) for row in result["runs"]] == [("seed=0", 0, 12), ("seed=1", 1, 12)]
    assert json.loads((tmp_path / "sweep.json").read_text()) == result
    weights = tmp_path / "seed=0/checkpoints/step_00000012/model.safetensors"
    before = weights.stat().st_mtime_ns
    assert sweep(data, tmp_path, [0, 1], options=OPTIONS, jobs=1) == result
    assert weights.stat().st_mtime_ns == before


def test_a_failed_run_counts_as_nothing_right(data: Path, tmp_path: Path) -> None:
    """A run that cannot be trained is in the table and in the mean, as 0."""
    told: list[str] = []
    variations = [(), ("train.batch=4096",)]
    result = sweep(data, tmp_path, [0], options=OPTIONS, variations=variations, jobs=1, say=told.append)
    good, bad = result["runs"]
    assert bad["accuracy"] == result["worst"] == 0
    assert "do not fill one batch" in bad["failed"][0]
    assert result["mean"] == pytest.approx(good["accuracy"] / 2)
    assert any("failed, exit code 2" in line for line in told)


def test_a_sweep_in_which_all_fails_is_an_error(data: Path, tmp_path: Path) -> None:
    """With nothing to tabulate the reason is told."""
    with pytest.raises(AirctlError, match=r"every run of the sweep failed.*no config key"):
        sweep(data, tmp_path, [0], options=["--set", "network.hiden=3"], jobs=1)


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("0..2", [0, 1, 2]), ("1,5,8..9", [1, 5, 8, 9]), ("1,1", [1])])
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    """A number, a range, a list of both."""
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3..", "..3", "5..2", "1;2", "-1", "0..99999999999"])
def test_seeds_that_cannot_be_meant_are_refused(text: str) -> None:
    """One sentence, no traceback."""
    with pytest.raises(ConfigError, match="--seeds"):
        parse_seeds(text)


def test_variations_are_every_combination() -> None:
    """Two keys of two values are four variations; none is one."""
    assert parse_variations(["a.b=1,2", "c.d=3,4"]) == [
        ("a.b=1", "c.d=3"),
        ("a.b=1", "c.d=4"),
        ("a.b=2", "c.d=3"),
        ("a.b=2", "c.d=4"),
    ]
    assert parse_variations([]) == [()]
    with pytest.raises(ConfigError, match="--vary"):
        parse_variations(["a.b"])


def test_the_summary_is_over_all_runs() -> None:
    """Mean, worst and success rate by hand."""
    result = summary([{"accuracy": a} for a in (0.99, 0.985, 0.33, 0.96)])
    assert result["mean"] == pytest.approx(0.81625)
    assert result["worst"] == 0.33
    assert result["success_rate"] == {"95%": 0.75, "98%": 0.5, "99%": 0.25}
    table = sweep_table({"split": "test", "runs": [{"run": "r", "accuracy": 0.33}], **result})
    assert "worst 33.00%" in table


def test_steps_to_an_accuracy() -> None:
    """The first step that was validated at the level or above; None if none was."""
    metrics = [
        {"step": 10, "elbo": 1.0},
        {"step": 20, "validation_accuracy": 0.9},
        {"step": 30, "validation_accuracy": 0.96},
    ]
    assert (steps_to(metrics, 0.95), steps_to(metrics, 0.5), steps_to(metrics, 0.99)) == (30, 20, None)
