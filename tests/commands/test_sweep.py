"""A sweep leaves no run out of its table, and goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from small import TINY, settings, tiny

from airctl.commands.sweep import parse_seeds, parse_variations, sweep
from airctl.errors import AirctlError, ConfigError
from airctl.reporting import sweep_table
from airctl.results.as_json import read, to_json
from airctl.results.sweep import SweepResult, SweepRun, over_all, steps_to
from airctl.training import RunFolder

ROOT = Path(__file__).parents[2]
ENDLESS = ["--set", "train.steps=1000000"]


def test_two_seeds_make_two_runs_and_a_table_and_are_not_trained_again(data: Path, tmp_path: Path) -> None:
    """Every run is there with its own seed; a second call reads what the first has made."""
    result = sweep(str(data), str(tmp_path), tiny(), [0, 1], jobs=1)
    assert [(row.run, row.seed, row.steps) for row in result.runs] == [("seed=0", 0, 12), ("seed=1", 1, 12)]
    assert result.changed == [setting for setting in sorted(result.changed) if setting in TINY] or set(TINY) >= set(
        result.changed
    )
    assert read(SweepResult, tmp_path / "sweep.json", "") == result
    assert json.loads((tmp_path / "sweep.json").read_text())["schema"] == 1
    weights = tmp_path / "seed=0/checkpoints/step_00000012/model.safetensors"
    before = weights.stat().st_mtime_ns
    assert sweep(data, tmp_path, tiny(), [0, 1], jobs=1) == result
    assert weights.stat().st_mtime_ns == before


def test_a_run_that_cannot_be_trained_counts_as_nothing_right(data: Path, tmp_path: Path) -> None:
    """It is in the table and in the mean, as 0, and its reason is told."""
    told: list[str] = []
    variations = [(), ("train.batch=4096",)]
    result = sweep(data, tmp_path, tiny(), [0], variations=variations, jobs=2, say=told.append)
    good, bad = result.runs
    assert (bad.status, bad.accuracy, result.worst) == ("failed", 0, 0)
    assert "do not fill one batch" in str(bad.reason)
    assert result.mean == pytest.approx((good.accuracy or 0) / 2)
    assert any("failed, " in line for line in told)
    assert "(failed)" in (tmp_path / "sweep.md").read_text()


def test_a_locked_run_is_unfinished_and_stops_the_mean(airctl, data: Path, tmp_path: Path) -> None:
    """A run that another process writes is not accuracy 0: it is named, there is no mean, and the exit code is 1."""
    (tmp_path / "seed=1").mkdir()
    words = ["sweep", data, "--run", tmp_path, "--seeds", "0,1", "--jobs", 1, *settings(), "--json"]
    with FileLock(tmp_path / "seed=1/.lock"):
        code, out, err = airctl(*words)
    result = json.loads(out)
    assert (code, result["unfinished"], result["mean"]) == (1, ["seed=1"], None)
    assert "1 of 2 runs are unfinished: seed=1" in err
    assert "is being written by" in result["runs"][1]["reason"]
    assert "no mean yet" in (tmp_path / "sweep.md").read_text()
    assert airctl(*words)[0] == 0
    assert read(SweepResult, tmp_path / "sweep.json", "").mean is not None


def test_a_place_where_no_run_can_be_is_not_accuracy_0(data: Path, tmp_path: Path) -> None:
    """A file where its folder should be says nothing of the recipe: the run is named, and there is no mean."""
    (tmp_path / "seed=1").touch()
    result = sweep(data, tmp_path, tiny(), [0, 1], jobs=1)
    assert [row.status for row in result.runs] == ["finished", "unfinished"]
    assert (result.unfinished, result.mean) == (["seed=1"], None)


def test_a_run_of_another_config_is_not_accuracy_0(data: Path, tmp_path: Path) -> None:
    """Its folder holds something else: that is no failure of this recipe, so it is named and there is no mean."""
    sweep(data, tmp_path, tiny(), [0], jobs=1)
    result = sweep(data, tmp_path, tiny("optimiser.lr=1e-4"), [0, 1], jobs=1)
    assert [row.status for row in result.runs] == ["unfinished", "finished"]
    assert "was started with another config" in str(result.runs[0].reason)
    assert (result.unfinished, result.mean) == (["seed=0"], None)


def test_a_sweep_in_which_all_fails_is_an_error(data: Path, tmp_path: Path) -> None:
    """With nothing to tabulate the reason is told, and a key that does not exist before anything is made."""
    with pytest.raises(AirctlError, match=r"every run of the sweep failed.*do not fill one batch"):
        sweep(data, tmp_path / "a", tiny("train.batch=4096"), [0], jobs=1)
    with pytest.raises(ConfigError, match="no config key"):
        sweep(data, tmp_path / "b", tiny(), [0], variations=[("model.hiden=3",)])
    assert not (tmp_path / "b").exists()


def test_two_sweeps_do_not_share_a_folder(data: Path, tmp_path: Path) -> None:
    """The second is told who writes there."""
    with RunFolder(tmp_path).lock(), pytest.raises(AirctlError, match="is being written by process"):
        sweep(data, tmp_path, tiny(), [0], jobs=1)


def started(data: Path, folder: Path, cwd: Path, seeds: str = "0..2", *steps: str) -> subprocess.Popen[str]:
    """A sweep from the command line, two runs at once and by default endless ones, in the folder ``cwd``."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from airctl.cli import main; main()"
    words = [
        "sweep",
        str(data),
        "--run",
        str(folder),
        "--seeds",
        seeds,
        "--jobs",
        "2",
        *settings(),
        *(steps or ENDLESS),
    ]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *words, "--json"], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def until(condition, process: subprocess.Popen[str] | None = None) -> None:
    """Wait for what ``process`` will do, as long as it lives: on a busy machine it takes its time."""
    while not condition():
        assert process is None or process.poll() is None
        time.sleep(0.05)


def trains(folder: Path, *seeds: int) -> bool:
    return all((folder / f"seed={seed}/metrics.jsonl").exists() for seed in seeds)


def free(run: Path) -> bool:
    """Whether nobody writes into a run."""
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        return False
    lock.release()
    return True


def test_sigterm_ends_the_children_and_names_what_is_unfinished(data: Path, tmp_path: Path) -> None:
    """Nothing of the current folder is imported; both runs save; exit code 143; all three are unfinished."""
    place, folder = tmp_path / "place", tmp_path / "sweep"
    place.mkdir()
    for name in ("click", "airctl", "torch", "socket", "struct", "multiprocessing", "sitecustomize"):
        (place / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w').close()")
    process = started(data, folder, place)
    until(lambda: trains(folder, 0, 1), process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    result = json.loads(out)
    assert process.returncode == 143, err
    assert not (tmp_path / "planted").exists()
    assert (result["unfinished"], result["mean"]) == (["seed=0", "seed=1", "seed=2"], None)
    assert [run["reason"][:13] for run in result["runs"]] == ["stopped after", "stopped after", "not started"]
    for seed in (0, 1):
        assert free(folder / f"seed={seed}")
        assert (folder / f"seed={seed}/checkpoints/last").exists()


def test_children_do_not_outlive_a_killed_parent(data: Path, tmp_path: Path) -> None:
    """SIGKILL of the sweep: each of its runs saves and ends."""
    process = started(data, tmp_path, tmp_path)
    until(lambda: trains(tmp_path, 0, 1), process)
    process.kill()
    process.communicate()
    until(lambda: free(tmp_path / "seed=0") and free(tmp_path / "seed=1"))


@pytest.mark.parametrize(
    ("signals", "steps"),
    [
        pytest.param((signal.SIGTERM, signal.SIGKILL), 400, id="some", marks=pytest.mark.slow),
        pytest.param((signal.SIGKILL, signal.SIGTERM) * 10, 6000, id="all", marks=pytest.mark.soak),
    ],
)
def test_killed_again_and_again_it_ends_as_the_sweep_that_was_not(
    signals, steps: int, data: Path, tmp_path: Path
) -> None:
    """Each time every child ends and its run goes on from where it was; the last table is the undisturbed one."""
    keys = {"train.steps": steps, "train.validate_every": steps // 3, "train.checkpoint_every": 20}
    settings = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    folder, at = tmp_path / "often", [0, 0]
    runs = [RunFolder(folder / f"seed={seed}") for seed in (0, 1)]

    def reached() -> list[int]:
        return [max((row["step"] for row in run.read_metrics()), default=0) for run in runs]

    for signum in signals:
        process = started(data, folder, tmp_path, "0,1", *settings)
        until(lambda at=at: all(now > before for now, before in zip(reached(), at, strict=True)), process)
        children = [int((run.path / ".holder").read_text().split()[1]) for run in runs]
        process.send_signal(signum)
        process.communicate()
        until(lambda: all(free(run.path) for run in runs))
        until(lambda children=children: not any(Path(f"/proc/{child}").exists() for child in children))
        assert process.returncode == (143 if signum == signal.SIGTERM else -9)
        at = reached()
        assert max(at) < steps  # the control: it was stopped on the way
    for place in (folder, tmp_path / "whole"):
        process = started(data, place, tmp_path, "0,1", *settings)
        process.communicate()
        assert process.returncode == 0
    often, whole = (read(SweepResult, tmp_path / name / "sweep.json", "") for name in ("often", "whole"))
    assert often.runs == whole.runs
    assert (folder / "sweep.md").read_text() == (tmp_path / "whole/sweep.md").read_text().replace("whole", "often")


def test_a_killed_run_is_unfinished(data: Path, tmp_path: Path) -> None:
    """SIGKILL of a child, as the kernel does without memory: its run is named with the exit code, the others go on."""
    process = started(data, tmp_path, tmp_path)
    until(lambda: trains(tmp_path, 0, 1), process)
    holder = (tmp_path / "seed=0/.holder").read_text().split()
    os.kill(int(holder[1]), signal.SIGKILL)
    until(lambda: trains(tmp_path, 2), process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    rows = json.loads(out)["runs"]
    assert (rows[0]["status"], rows[0]["reason"]) == ("unfinished", "its process ended with exit code -9")
    assert rows[0]["accuracy"] is None


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("0..2", [0, 1, 2]), ("1,5,8..9", [1, 5, 8, 9]), ("1,1", [1])])
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    """A number, a range, a list of both."""
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3..", "..3", "5..2", "1;2", "-1", "0..99999999999"])
def test_seeds_that_cannot_be_meant_are_refused(text: str) -> None:
    """One sentence, no traceback."""
    with pytest.raises(ConfigError, match="seeds="):
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
    with pytest.raises(ConfigError, match="vary="):
        parse_variations(["a.b"])


def row(accuracy: float | None, status: str = "finished") -> SweepRun:
    return SweepRun(run="r", settings=[], seed=0, status=status, accuracy=accuracy)


def test_the_summary_is_over_all_runs() -> None:
    """Mean, worst and success rate by hand; with one unfinished run there is none of them."""
    runs = [row(a) for a in (0.99, 0.985, 0.33, 0.96)]
    figures = over_all(runs)
    assert figures["mean"] == pytest.approx(0.81625)
    assert figures["worst"] == 0.33
    assert [figures[f"reached_{level}"] for level in (95, 98, 99)] == [0.75, 0.5, 0.25]
    told = {"data": "d", "folder": "f", "preset": "fast", "changed": [], "split": "test", "runs": runs}
    assert "worst 33.00%" in sweep_table(to_json(SweepResult(**told, unfinished=[], **figures)))
    assert set(over_all([*runs, row(None, "unfinished")]).values()) == {None}


def test_steps_to_an_accuracy() -> None:
    """The first step that was validated at the level or above; None if none was."""
    metrics = [
        {"step": 10, "elbo": 1.0},
        {"step": 20, "validation_accuracy": 0.9},
        {"step": 30, "validation_accuracy": 0.96},
    ]
    assert (steps_to(metrics, 0.95), steps_to(metrics, 0.5), steps_to(metrics, 0.99)) == (30, 20, None)
