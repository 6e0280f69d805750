"""Under torchrun itself: a process that is killed, and what the restarted job ends with."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reliability.conftest import SMALL, Tally, contents

from airctl.training import RunFolder

STEPS = 600
SETTINGS = [*SMALL, f"train.steps={STEPS}", "train.checkpoint_every=20", "train.validate_every=50"]


def torchrun(data: Path, run: Path, restarts: int) -> subprocess.Popen[bytes]:
    """``airctl train --resume`` in two processes, started by torchrun."""
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    train = ["-m", "--", "airctl", "train", str(data), "--run", str(run), "--preset", "recurrent", *words, "--resume"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *launcher, *train], env=environment)


def second_of(launcher: int, before: set[int]) -> int | None:
    """The process of rank 1 that ``launcher`` has started since ``before``."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            second = b"\0RANK=1\0" in (folder / "environ").read_bytes()
            if parent == launcher and second and int(folder.name) not in before:
                return int(folder.name)
        except (OSError, IndexError):  # it has ended
            continue
    return None


@pytest.mark.soak
def test_a_job_whose_second_process_is_killed_ten_times_ends_with_the_same_bytes(
    small_data: Path, tmp_path: Path, tally: Tally
) -> None:
    """SIGKILL at random moments, of its start too: torchrun restarts both, and they go on from the last checkpoint."""
    whole = torchrun(small_data, tmp_path / "whole", 0)
    assert whole.wait() == 0
    draw, killed = random.Random(0), set[int]()
    job = torchrun(small_data, tmp_path / "killed", 10)
    while len(killed) < 10:
        assert job.poll() is None
        if (second := second_of(job.pid, killed)) is None:
            time.sleep(0.01)
            continue
        started = time.monotonic()
        reached = _reached(tmp_path / "killed")
        if draw.random() < 0.7:  # most are killed at work, the others while they start
            while _reached(tmp_path / "killed") == reached and job.poll() is None:
                time.sleep(0.01)
        time.sleep(draw.uniform(0, 2))
        with contextlib.suppress(ProcessLookupError):  # then torchrun had to restart the job by itself
            os.kill(second, signal.SIGKILL)
        killed.add(second)
        seconds, lines = time.monotonic() - started, len(RunFolder(tmp_path / "killed").read_metrics())
        print(f"killed process {second} {seconds:.1f} s after it was seen, {lines} lines of metrics written")
    assert job.wait() == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    tally("processes of a torchrun job killed by SIGKILL at a random moment", killed)


def _reached(run: Path) -> int:
    return (run / "metrics.jsonl").stat().st_size if (run / "metrics.jsonl").exists() else 0
