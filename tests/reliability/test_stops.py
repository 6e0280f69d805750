"""A run that is stopped, at any step and in any way, and started again is the run that was not."""

from __future__ import annotations

import errno
import os
import pty
import random
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reliability.conftest import SMALL, Tally, contents, metric_steps, small
from reliability.faults import Fault, Outcome, ended, forked, in_fork

import airctl
from airctl import cli
from airctl.commands.train import train
from airctl.training import Progress

STEPS = 40  # eight epochs: five batches of eight fill the 40 scenes that are not held out
EPOCH = 5
WAYS = ("Ctrl-C", "SIGTERM", "SIGKILL", "exception")
CODES = {"Ctrl-C": 0, "SIGTERM": 0, "SIGKILL": -9, "exception": 99}


class Long:
    """A run of forty steps, and the bytes that it ends with when nobody stops it."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder
        self.config = small(f"train.steps={STEPS}", "train.checkpoint_every=7", "train.validate_every=6")
        self.train(folder / "whole")
        started = time.monotonic()
        assert in_fork(lambda: self.train(folder / "again")).code == 0
        self.seconds = time.monotonic() - started
        self.expected = contents(folder / "whole")
        assert contents(folder / "again") == self.expected
        assert metric_steps(folder / "whole")[-1] == STEPS

    def train(self, run: Path, on_progress: Callable[[Progress], None] = lambda progress: None) -> None:
        train(self.data, run, self.config, resume=True, threads=1, device="cpu", on_progress=on_progress)

    def stopped(self, run: Path, step: int, way: str) -> Outcome:
        """Train in a child that is stopped in step ``step``."""

        def stop(progress: Progress) -> None:
            if progress.step == step:
                if way == "exception":
                    raise RuntimeError("a bug")
                os.kill(os.getpid(), {"Ctrl-C": signal.SIGINT}.get(way) or getattr(signal, way))

        return in_fork(lambda: self.train(run, stop))


@pytest.fixture(scope="module")
def long(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Long:
    return Long(small_data, tmp_path_factory.mktemp("long"))


PART = (5, 7, 33)  # an epoch's edge, a checkpoint, and between them


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """SIGHUP as a terminal's children have it: whoever runs the tests with nohup has it ignored in all of them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "at", [pytest.param(PART, id="some"), pytest.param(range(1, STEPS + 1), id="all", marks=pytest.mark.soak)]
)
def test_stopped_at_any_step_in_any_way_it_ends_the_same(at: range, way: str, long: Long, tally: Tally) -> None:
    """Stopped in that step, and resumed: weights, optimiser, state, best, metrics and pointers have the same bytes."""
    for step in at:
        run = long.folder / f"{way}-{step}"
        assert long.stopped(run, step, way).code == CODES[way]
        if way in ("Ctrl-C", "SIGTERM"):
            assert airctl.load(run, device="cpu").step == step
        assert in_fork(lambda run=run: long.train(run)).code == 0
        assert contents(run) == long.expected, (way, step)
        shutil.rmtree(run)
    if len(at) == STEPS:
        tally(f"stopped by {way} at every step 1..{STEPS}, the {STEPS // EPOCH} edges of epochs among them", at)


def test_stopped_again_and_again_it_ends_the_same(long: Long) -> None:
    """Six stops in one run, by Ctrl-C and SIGTERM in turn."""
    run = long.folder / "often"
    for step in (1, 2, 6, 7, 20, 40):
        way = ("Ctrl-C", "SIGTERM")[step % 2]
        assert long.stopped(run, step, way).code == 0
    long.train(run)
    assert contents(run) == long.expected
    shutil.rmtree(run)


@pytest.mark.parametrize("kills", [pytest.param(3, id="some"), pytest.param(50, id="all", marks=pytest.mark.soak)])
def test_killed_at_any_moment_it_ends_the_same(kills: int, long: Long, tally: Tally) -> None:
    """SIGKILL from outside at random moments of a live run; each is resumed to the same bytes."""
    draw, run, done = random.Random(0), long.folder / "killed", 0
    while done < kills:
        child = forked(lambda: long.train(run))
        time.sleep(draw.uniform(0, long.seconds))
        os.kill(child[0], signal.SIGKILL)
        done += ended(*child).code == -9  # it may have been done already
        assert in_fork(lambda: long.train(run)).code == 0
        assert contents(run) == long.expected, done
        shutil.rmtree(run)
    if kills == 50:
        tally("live trainings killed by SIGKILL at a random moment", done)


def command(long: Long, run: Path, *options: str) -> None:
    """``airctl train`` as a shell would start it, with far more steps than anyone waits for."""
    settings = [word for setting in (*SMALL, "train.steps=1000000") for word in ("--set", setting)]
    sys.argv = ["airctl", "train", str(long.data), "--run", str(run), "--threads", "1", *settings, *options]
    cli.main()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_a_second_one_does_no_harm(signum: int, code: int, long: Long, tmp_path: Path) -> None:
    """The first ends the command with 130 or 143 and a checkpoint; two at once too, with whatever was there."""
    run = tmp_path / "run"
    for signals in (1, 2):
        before = airctl.load(run, device="cpu").step if signals == 2 else -1
        child = forked(lambda: command(long, run, "--resume"))
        _wait(child, run, 300 * signals)
        for _ in range(signals):
            os.kill(child[0], signum)
        assert ended(*child).code == code
        assert airctl.load(run, device="cpu").step >= max(before, 1)
        assert metric_steps(run) == sorted(set(metric_steps(run)))


def test_a_terminal_that_is_closed_saves(long: Long, tmp_path: Path) -> None:
    """What is written to a terminal that is gone fails; the run is saved all the same, and ends with 129."""
    run = tmp_path / "run"
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            command(long, run)
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        finally:
            os._exit(99)
    while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").stat().st_size < 300:
        if select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 1 << 16)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    assert airctl.load(run, device="cpu").step >= 1


def test_whom_nohup_protects_goes_on(long: Long, tmp_path: Path) -> None:
    """SIGHUP that was ignored stays so; SIGTERM then ends the run with 143."""
    run = tmp_path / "run"

    def protected() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        command(long, run)

    child = forked(protected)
    _wait(child, run, 300)
    os.kill(child[0], signal.SIGHUP)
    _wait(child, run, (run / "metrics.jsonl").stat().st_size + 300)
    os.kill(child[0], signal.SIGTERM)
    assert ended(*child).code == 143


def test_a_second_process_is_told_who_writes(long: Long, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """While a process trains, the same command ends with 4 and names it; the first is not disturbed."""
    run = tmp_path / "run"
    child = forked(lambda: command(long, run))
    _wait(child, run, 100)
    second = in_fork(lambda: command(long, run, "--resume"))
    os.kill(child[0], signal.SIGTERM)
    assert ended(*child).code == 143
    assert second.code == 4
    assert f"is being written by process {child[0]} on " in capfd.readouterr().err


def test_a_full_disk_is_told_on_the_command_line(long: Long, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 6 and one sentence: what could not be written, that nothing is lost, and what to do."""
    outcome = in_fork(lambda: command(long, tmp_path / "run"), tmp_path, Fault(40, errno.ENOSPC))
    assert outcome.code == 6
    told = capfd.readouterr().err
    assert "No space left on device; what was there before is untouched: free some space" in told
    assert "Traceback" not in told


def _wait(child: tuple[int, int], run: Path, size: int) -> None:
    """Until the child has written so many bytes of metrics."""
    while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").stat().st_size < size:
        time.sleep(0.01)
        assert os.waitid(os.P_PID, child[0], os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
