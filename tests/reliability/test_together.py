"""A run that several processes share: resumed on any number of them, stopped or killed in any of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from reliability.conftest import contents, metric_steps, small
from reliability.faults import ended, in_fork
from safetensors.torch import load_file
from together import started, together
from torch import Tensor

from airctl.commands import train as commands
from airctl.errors import GroupError
from airctl.group import current
from airctl.training import Progress, checkpoint, session
from airctl.training.learner import training_step

STEPS = 12
CONFIG = ("train.checkpoint_every=3", "train.validate_every=4", "train.batch=7", "objective.estimator=nvil")


def run_of(data: Path, run: Path, on_progress: Callable[[Progress], None] = lambda p: None, steps: int = STEPS) -> Any:
    config = small(f"train.steps={steps}", *CONFIG)
    commands.training_figures, commands.save = lambda *told: {}, lambda *told: None  # they are no part of this
    return commands.train(data, run, config, resume=True, threads=1, device="cpu", on_progress=on_progress).stopped_by


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(checkpoint.resolve(run / "checkpoints", "last") / checkpoint.TENSORS[0])


@pytest.fixture(scope="module")
def whole(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes that nobody disturbs."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert [o.code for o in together(2, lambda: run_of(small_data, run))] == [0, 0]
    return run


def test_a_run_goes_on_with_any_number_of_processes(small_data: Path, whole: Path, tmp_path: Path) -> None:
    """Two, then three, then one: the weights of a run of one process, to the rounding of float32."""
    run = tmp_path / "run"
    for number, last in ((2, 4), (3, 9), (1, STEPS)):

        def stop(progress: Progress, last: int = last) -> None:
            if last == progress.step < STEPS:
                os.kill(os.getpid(), signal.SIGTERM)

        children = together(number, lambda stop=stop: run_of(small_data, run, stop))
        assert [outcome.code for outcome in children] == [0] * number, children
        assert checkpoint.steps(run / "checkpoints")[-1] == last
    alone = tmp_path / "alone"
    assert in_fork(lambda: run_of(small_data, alone)).code == 0
    for other in (run, whole):
        assert metric_steps(other) == metric_steps(alone)
        for name, tensor in weights(alone).items():
            torch.testing.assert_close(weights(other)[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_any_process_stops_all_of_them_after_the_same_step(
    told: int, small_data: Path, whole: Path, tmp_path: Path
) -> None:
    """And resumed they end with the bytes of the run that was not stopped."""
    run = tmp_path / "run"

    def stopped() -> Any:
        asked = []

        def step(learner: Any, config: Any, images: Tensor, number: int, *rest: Any) -> Any:
            if current().rank == told and number == 4 and not asked:
                asked.append(number)
                os.kill(os.getpid(), signal.SIGTERM)
            return training_step(learner, config, images, number, *rest)

        session.training_step = step
        return run_of(small_data, run)

    assert [(o.code, o.value) for o in together(2, stopped)] == [(0, int(signal.SIGTERM))] * 2
    assert checkpoint.steps(run / "checkpoints")[-1] == 5
    assert [o.code for o in together(2, lambda: run_of(small_data, run))] == [0, 0]
    assert contents(run) == contents(whole)


def test_what_is_not_finite_in_one_process_is_so_in_all(small_data: Path, tmp_path: Path) -> None:
    """All go back to the same checkpoint with half the learning rate, and end with the same weights."""

    def spoilt() -> Any:
        times = []

        def step(learner: Any, config: Any, images: Tensor, number: int, *rest: Any) -> Any:
            if current().rank == 1 and number == 4 and not times:
                times.append(number)
                with torch.no_grad():
                    learner.model.likelihood.start = float("nan")
                try:
                    return training_step(learner, config, images, number, *rest)
                finally:
                    learner.model.likelihood.start = config.likelihood.sd
            return training_step(learner, config, images, number, *rest)

        session.training_step = step
        return run_of(small_data, tmp_path / "run")

    for outcome in together(2, spoilt):
        assert outcome.code == 0, outcome.message
    state = checkpoint.load(checkpoint.resolve(tmp_path / "run" / "checkpoints", "last"), _modules(tmp_path / "run"))
    assert state["retries"] == 1


def _modules(run: Path) -> Any:
    from airctl.training import Learner, RunFolder

    return Learner.build(RunFolder(run).config(), torch.device("cpu")).modules


def test_a_killed_process_ends_the_others_with_one_sentence(small_data: Path, tmp_path: Path) -> None:
    """Its exit code is that of a group error; the newest checkpoint is whole, and a restart goes on from it."""
    run = tmp_path / "run"
    children = started(2, lambda: run_of(small_data, run, steps=100_000))
    while not (run / "metrics.jsonl").exists():
        time.sleep(0.01)
    os.kill(children[1][0], signal.SIGKILL)
    first, second = (ended(*child) for child in children)
    assert second.code == -signal.SIGKILL
    assert first.code == GroupError.exit_code
    assert "another process of this job has ended" in first.message
    assert checkpoint.newest_valid(run / "checkpoints")[1] == []
