"""eval, infer and variance-report on several processes give the figures of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import settings
from together import together

import airctl
from airctl.commands import evaluate as evaluating
from airctl.commands import variance as measuring
from airctl.commands.shares import Shares
from airctl.group import Group
from airctl.results.as_json import to_json


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to write to."""
    return shutil.copytree(finished, tmp_path / "run")


def shared(number: int, act: Callable[[], Any]) -> list[Any]:
    """What ``act`` returned in each of so many processes."""
    outcomes = together(number, act)
    assert [outcome.code for outcome in outcomes] == [0] * number, outcomes
    return [outcome.value for outcome in outcomes]


def test_three_processes_evaluate_as_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure of the result and the gallery the same, where the last share is smaller and draws come in turn."""
    # 40 scenes in seven passes, the last of four: shares of 2, 2 and 3
    monkeypatch.setattr(sys.modules["airctl.inference.passes"], "CHUNK", 6)
    monkeypatch.setattr(sys.modules["airctl.evaluation.densities"], "SCENES", 6)
    monkeypatch.setattr(evaluating.figures, "save", lambda *told: None)
    evaluated = lambda: to_json(airctl.evaluate(run, log_likelihood=3, device="cpu"))  # noqa: E731
    alone = json.loads(json.dumps(evaluated()))
    gallery = run / "gallery-test-log-likelihood=3.json"
    kept = gallery.read_bytes()
    gallery.unlink()
    assert shared(3, evaluated) == [alone] * 3
    assert gallery.read_bytes() == kept


def test_processes_share_the_estimators_of_a_report(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All figures but seconds are the same, with more processes than there are families of estimators too."""
    monkeypatch.setattr(measuring, "save", lambda *told: None)

    def measured() -> Any:
        told = airctl.measure_variance(
            run, samples=6, batch=8, estimators=["exact", "score-function-neural", "disarm", "rloo", "vimco"],
            device="cpu",
        )  # fmt: skip
        return _without_times(json.loads(json.dumps(to_json(told))))

    alone = measured()
    for number in (2, 4):
        assert shared(number, measured) == [alone] * number


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        timed = ("seconds_per_sample", "relative_cost", "efficiency")
        return {key: _without_times(one) for key, one in value.items() if key not in timed}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


def test_processes_share_pictures_and_the_first_has_all_in_order(learnt: Path, tmp_path: Path) -> None:
    """A stack, files, and one that is none: the tables of one process, and the refusal once."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "stack.npy", rng.integers(0, 200, (9, 30, 30), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no picture")

    def counted(out: str) -> Callable[[], Any]:
        def act() -> Any:
            refused: list[str] = []
            names = [tmp_path / "stack.npy", tmp_path / "broken.png"]
            found = airctl.infer(
                learnt, names, out=tmp_path / out, formats=["csv"], device="cpu",
                refuse=lambda error: refused.append(str(error)),
            )  # fmt: skip
            return [[one.image, one.count] for one in found], refused

        return act

    alone = json.loads(json.dumps(counted("alone")()))
    assert len(alone[0]) == 9
    assert len(alone[1]) == 1
    assert shared(3, counted("three")) == [alone, [[], []], [[], []]]
    for table in ("counts.csv", "objects.csv"):
        assert (tmp_path / "three" / table).read_text() == (tmp_path / "alone" / table).read_text()


@pytest.mark.parametrize("size", [1, 3])
def test_every_picture_belongs_to_one_part_and_one_process(size: int) -> None:
    """Of files with pages and stacks alike, for parts of --shard shared by processes; a file's pages stay together."""
    names = [f"{file}.tif" for file in range(20)]
    asked = [n for file in names for n in (file, f"{file}[0]", f"{file}[1]")] + [f"s.npy[{i}]" for i in range(20)]
    owners: dict[str, list[tuple[int, int]]] = {name: [] for name in asked}
    for part in (1, 2):
        for rank in range(size):
            group = Group()
            group.rank, group.size = rank, size
            shares = Shares(part, 2, group)
            for name in asked:
                if shares(name.partition(".tif[")[0] + ".tif" if ".tif[" in name else name):
                    owners[name].append((part, rank))
    assert all(len(found) == 1 for found in owners.values())
    assert all(owners[file] == owners[f"{file}[0]"] == owners[f"{file}[1]"] for file in names)
    assert len({owners[f"s.npy[{i}]"][0] for i in range(20)}) == 2 * size


@pytest.mark.slow
def test_devices_start_processes_of_the_code_that_runs_here(data: Path, tmp_path: Path) -> None:
    """What lies in the current folder is not imported; what is typed is kept, said once, and exits with its code."""
    for name in ("airctl", "torch", "random", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    start = (
        f"import sys; sys.path.insert(0, {str(Path(airctl.__file__).parents[1])!r}); import airctl.cli as c; c.main()"
    )
    words = ["train", str(data), "--run", "run", "--preset", "recurrent", *settings(), "--devices", "2"]

    def typed(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-c", start, *words, *more]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    done = typed()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: 12 steps") == 1
    assert done.stderr.count("2 processes") == 1
    assert (tmp_path / "run" / "command.txt").read_text().endswith("--devices 2\n")
    again = typed()
    assert again.returncode == 2
    assert again.stderr.count("already holds a run") == 1


def test_work_for_one_process_is_refused_to_several(
    airctl: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the names of the commands that several can share."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    code, _, told = airctl("info", "runs/none")
    assert code == 2
    assert "info is work for one process, and torchrun has started 2" in told
