"""Trainings as processes of their own: started from the code that runs here, watched, and ended with their parent.

A child is started by multiprocessing's "spawn" with Python's safe path: nothing in the current folder is imported. It
leads a session of its own, so that Ctrl-C reaches it once, as the parent's SIGTERM; and it stops, after saving, when
its parent is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from airctl.config import Config
from airctl.errors import AirctlError, ConfigError, NotFiniteError, PlaceError
from airctl.results.sweep import LEVELS, SweepRun, steps_to

_LOOK = 0.2  # seconds between two looks for a signal
_SAFE_PATH = "PYTHONSAFEPATH"


@dataclass(frozen=True)
class Job:
    """One run of a sweep, as its process is told."""

    data: Path
    run: Path
    config: Config
    settings: tuple[str, ...]
    seed: int
    split: str
    device: str

    def ended(self, status: str, **what: Any) -> SweepRun:
        """The row of this run."""
        return SweepRun(run=self.run.name, settings=list(self.settings), seed=self.seed, status=status, **what)


@dataclass(frozen=True)
class _Child:
    job: Job
    process: SpawnProcess
    answers: Connection


# --- the parent ------------------------------------------------------------------------------------------------------


def trained_apart(
    jobs: Sequence[Job], at_once: int, say: Callable[[str], None], stopped: Callable[[], int | None]
) -> list[SweepRun]:
    """The rows of all ``jobs``, in their order. Once ``stopped`` says so, those that run save, and none begins."""
    waiting, running, rows = list(jobs), list[_Child](), dict[Job, SweepRun]()
    told_to_stop = False
    try:
        while running or (waiting and stopped() is None):
            while waiting and len(running) < at_once and stopped() is None:
                running.append(_start(waiting.pop(0)))
            wait([child.process.sentinel for child in running], _LOOK)
            for child in [child for child in running if not child.process.is_alive()]:
                running.remove(child)
                rows[child.job] = row = _row(child)
                say(
                    f"{row.run}: {row.accuracy:.2%}" if row.reason is None else f"{row.run}: {row.status}, {row.reason}"
                )
            if stopped() is not None and not told_to_stop:
                told_to_stop = True
                _end(running)
    except BaseException:
        _end(running)
        raise
    return [rows.get(job) or job.ended("unfinished", reason="not started") for job in jobs]


def _start(job: Job) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, theirs), name=job.run.name)
    with _safe_path():
        process.start()
    theirs.close()
    return _Child(job, process, ours)


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """What is started meanwhile does not look for modules in the current folder."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _end(running: Sequence[_Child]) -> None:
    for child in running:
        child.process.terminate()  # SIGTERM: the training saves and returns


def _row(child: _Child) -> SweepRun:
    """What a process that has ended sent before; a process that sent nothing was killed."""
    child.process.join()
    row: SweepRun | None = None
    with contextlib.suppress(EOFError, OSError):
        row = child.answers.recv() if child.answers.poll() else None
    child.answers.close()
    code = child.process.exitcode
    child.process.close()
    return row or child.job.ended("unfinished", reason=f"its process ended with exit code {code}")


# --- the child -------------------------------------------------------------------------------------------------------


def _child(job: Job, answers: Connection) -> None:
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        answers.send(_trained(job))
    except PlaceError as error:  # nor can any recipe be trained there: it says nothing of this one
        answers.send(job.ended("unfinished", reason=str(error)))
    except (ConfigError, NotFiniteError) as error:
        # What a recipe cannot do is told before its run begins; later it is the folder's fault, as of another config's.
        begun = isinstance(error, ConfigError) and (job.run / "config.toml").exists()
        answers.send(
            job.ended("unfinished", reason=str(error))
            if begun
            else job.ended("failed", reason=str(error), accuracy=0.0)
        )
    except AirctlError as error:
        answers.send(job.ended("unfinished", reason=str(error)))
    except KeyboardInterrupt:
        answers.send(job.ended("unfinished", reason="stopped"))
    answers.close()
    sys.stdout.flush()


def _watch_parent() -> None:
    """Stop this process, as SIGTERM does, when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _trained(job: Job) -> SweepRun:
    from airctl.commands.evaluate import evaluate
    from airctl.commands.train import train
    from airctl.training import RunFolder

    done = train(job.data, job.run, job.config, resume=True, threads=1, device=job.device)
    if done.stopped_by is not None:
        return job.ended("unfinished", reason=f"stopped after step {done.steps}", steps=done.steps)
    accuracy = done.validation_accuracy
    if job.split == "test":
        accuracy = evaluate(job.run, split="test", device=job.device).count_accuracy
    metrics = RunFolder(job.run).read_metrics()
    reached = {f"steps_to_{name}": steps_to(metrics, level) for name, level in LEVELS.items()}
    return job.ended("finished", accuracy=accuracy or 0.0, steps=done.steps, **reached)
