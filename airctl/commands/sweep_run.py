"""One run of a sweep: what its process is told, what it does there, and the row that comes of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airctl.config import Config
from airctl.errors import AirctlError, ConfigError, NotFiniteError, PlaceError
from airctl.results.sweep import LEVELS, SweepRun, steps_to

_TAIL = 1 << 14  # bytes: more than a line of metrics.jsonl has


@dataclass(frozen=True)
class Job:
    """One run of a sweep, as its process is told. ``run`` is its folder, and ``cores`` its threads."""

    data: Path
    run: Path
    config: Config
    settings: tuple[str, ...]
    seed: int
    split: str
    device: str
    cores: int

    def ended(self, status: str, **what: Any) -> SweepRun:
        """The row of this run."""
        return SweepRun(run=self.run.name, settings=list(self.settings), seed=self.seed, status=status, **what)

    def row(self, answer: SweepRun | AirctlError) -> SweepRun:
        """The row that ``trained`` made, or that says what became of it."""
        if isinstance(answer, SweepRun):
            return answer
        # What a recipe cannot do is told before its run begins; later it is the folder's fault, as of another config's,
        # and no recipe can be trained in a place where one cannot write.
        refused = isinstance(answer, ConfigError) and not (self.run / "config.toml").exists()
        refused = refused and not isinstance(answer, PlaceError)
        if refused or isinstance(answer, NotFiniteError):
            return self.ended("failed", reason=str(answer), accuracy=0.0)
        return self.ended("unfinished", reason=str(answer))

    def steps_done(self) -> int:
        """How far its training is, as the folder tells it: the step of the last line of metrics.jsonl."""
        try:
            with open(self.run / "metrics.jsonl", "rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
                lines = stream.read().split(b"\n")[:-1]
            return int(json.loads(lines[-1])["step"])
        except (OSError, ValueError, LookupError, TypeError):
            return 0


def trained(job: Job) -> SweepRun:
    """Begin or go on with the training of ``job``; the row of a run that is finished, or was asked to stop."""
    from airctl.commands.evaluate import evaluate
    from airctl.commands.train import train
    from airctl.training import RunFolder

    done = train(job.data, job.run, job.config, resume=True, threads=job.cores, device=job.device)
    if done.stopped_by is not None:
        return job.ended("unfinished", reason=f"stopped after step {done.steps}", steps=done.steps)
    accuracy = done.validation_accuracy
    if job.split == "test":
        accuracy = evaluate(job.run, split="test", device=job.device).count_accuracy
    metrics = RunFolder(job.run).read_metrics()
    reached = {f"steps_to_{name}": steps_to(metrics, level) for name, level in LEVELS.items()}
    return job.ended("finished", accuracy=accuracy or 0.0, steps=done.steps, **reached)
