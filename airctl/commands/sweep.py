"""Several runs of one recipe, and one table over ALL of them: ``airctl sweep``.

Each run is a process of its own, on this machine or on a cluster (``executors.py``). A sweep that is stopped goes on
where it was when it is started again: finished runs are read, half-finished ones resumed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from airctl import config as configs
from airctl.commands.executors import LOCAL, Executor, executor, watching
from airctl.commands.info import changed
from airctl.commands.sweep_run import Job, trained
from airctl.config import Config
from airctl.errors import AirctlError, ConfigError
from airctl.files import write_text
from airctl.reporting.tables import sweep_table
from airctl.results.as_json import to_json
from airctl.results.sweep import SweepResult, SweepRun, over_all
from airctl.training import RunFolder
from airctl.training.run import dumps
from airctl.training.signals import StopRequest

SPLITS = ("validation", "test")


def parse_seeds(text: str) -> list[int]:
    """Seeds from ``0..9``, ``3`` or ``1,5,8..10``; ``ConfigError`` for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        low, dots, high = part.strip().partition("..")
        if not low.isdecimal() or (dots and not high.isdecimal()) or len(low + high) > 18:
            raise ConfigError(f"seeds={text}: expected something like 0..9 or 1,5,8", "seeds")
        seeds += range(int(low), int(high or low) + 1) if int(high or low) - int(low) < 10_000 else []
    if not seeds:
        raise ConfigError(f"seeds={text}: names no seed, or too many", "seeds")
    return list(dict.fromkeys(seeds))


def parse_variations(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of ``KEY=V1,V2`` settings, each a tuple of ``KEY=VALUE``; one empty tuple without any."""
    choices = []
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values:
            raise ConfigError(f"vary={text}: expected KEY=VALUE,VALUE,...", "vary")
        choices.append([f"{key}={value}" for value in values.split(",")])
    return list(itertools.product(*choices))


def sweep(
    data: Path | str,
    folder: Path | str,
    config: Config | None = None,
    seeds: Sequence[int] = range(10),
    *,
    variations: Sequence[tuple[str, ...]] = ((),),
    jobs: int | None = None,
    split: str = "validation",
    device: str = "auto",
    on: str | Executor = LOCAL,
    cores: int = 1,
    gpus: float = 0,
    say: Callable[[str], None] = lambda message: None,
    on_progress: Callable[[int, int], None] = lambda done, steps: None,
) -> SweepResult:
    """Train every seed of every variation of ``config`` into ``folder``; write sweep.json and sweep.md there.

    Accuracies are those of the ``validation`` scenes, or of the data's ``test`` split, which is for the last word and
    not for choosing. A run that cannot be trained has failed, and counts as accuracy 0. One that was stopped or killed,
    or that another process writes, is unfinished: it is named, and there is no mean before it is finished. Ctrl-C and
    SIGTERM stop all runs, each after it has saved.

    At most ``jobs`` runs train at once, by default as many as there is room for, each on ``cores`` cores (its threads)
    and ``gpus`` GPUs of what ``on`` names: ``local``, processes of this machine, or ``ray`` and ``ray://HOST:PORT``, a
    Ray cluster whose machines all see ``data`` and ``folder`` under these names (docs/clusters.md). A run whose worker
    is lost goes on elsewhere from its last checkpoint. ``on_progress`` is told the steps done and those of all runs.

    Local runs are processes started by multiprocessing's "spawn": a script that calls this needs ``if __name__ ==
    "__main__"``. Raises ``AirctlError`` if every run failed, ``ConfigError`` for an ``on`` there is not.
    """
    if split not in SPLITS:
        raise ConfigError(f"split={split}: expected {' or '.join(SPLITS)}", "split")
    data, folder, config = Path(data), Path(folder), config or configs.preset("fast")
    work = [
        Job(
            data,
            folder / _run_name(settings, seed),
            _varied(config, settings, seed),
            settings,
            seed,
            split,
            device,
            cores,
        )
        for settings in variations
        for seed in seeds
    ]
    place = executor(on, jobs, cores, gpus, say)
    # Signals are heard inside: an executor that is entered may set its own handlers.
    with RunFolder(folder).lock(), place, StopRequest() as stop:
        runs = _rows(place, work, say, on_progress, lambda: stop.signum)
        if runs and all(run.status == "failed" for run in runs):
            raise AirctlError(f"every run of the sweep failed, the first with: {runs[0].reason}")
        result = SweepResult(
            data=str(data),
            folder=str(folder),
            preset=config.preset,
            changed=changed(config),
            split=split,
            runs=runs,
            unfinished=[run.run for run in runs if run.status == "unfinished"],
            **over_all(runs),
            stopped_by=stop.signum,
        )
        _keep(folder, result)
    return result


def _rows(
    place: Executor, work: Sequence[Job], say: Callable[[str], None], on_progress: Callable[[int, int], None],
    stopped: Callable[[], int | None],
) -> list[SweepRun]:  # fmt: skip
    """The rows of all runs, in their order; of one that never began, too."""
    rows: dict[int, SweepRun] = {}
    wanted = [job.config.train.steps for job in work]

    def ended(at: int, answer: SweepRun | AirctlError) -> None:
        rows[at] = row = work[at].row(answer)
        say(f"{row.run}: {row.accuracy:.2%}" if row.reason is None else f"{row.run}: {row.status}, {row.reason}")

    def watch() -> None:
        done = (wanted[at] if at in rows else job.steps_done() for at, job in enumerate(work))
        on_progress(sum(map(min, done, wanted)), sum(wanted))

    place.carry_out(trained, work, ended, watching(watch, stopped))
    watch()
    return [rows.get(at) or job.ended("unfinished", reason="not started") for at, job in enumerate(work)]


def _keep(folder: Path, result: SweepResult) -> None:
    told = to_json(result)
    write_text(folder / "sweep.md", sweep_table(told) + "\n")
    write_text(folder / "sweep.json", dumps(told))


def _run_name(settings: Sequence[str], seed: int) -> str:
    return "-".join([*(setting.replace("/", "_") for setting in settings), f"seed={seed}"])


def _varied(config: Config, settings: Sequence[str], seed: int) -> Config:
    return configs.override(config, [*settings, f"train.seed={seed}"])


def unfinished(result: SweepResult) -> str:
    """One sentence about the runs that are not finished; empty if there are none."""
    names = result.unfinished
    return f"{len(names)} of {len(result.runs)} runs are unfinished: {', '.join(names)}" if names else ""


__all__ = ["SweepRun", "parse_seeds", "parse_variations", "sweep", "unfinished"]
