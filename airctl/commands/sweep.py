"""Several runs of one recipe, and one table over ALL of them: seeds, and values of config keys if asked for.

Each run is a process of its own on one thread, at most as many at once as there are cores. A sweep that is stopped
goes on where it was when it is started again: finished runs are read, half-finished ones resumed.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airctl.commands.evaluate import evaluate
from airctl.errors import AirctlError, ConfigError
from airctl.files import write_text
from airctl.reporting.tables import sweep_table
from airctl.training import RunFolder

LEVELS = (0.95, 0.98, 0.99)  # count accuracies that a run is said to reach


def parse_seeds(text: str) -> list[int]:
    """Seeds from ``0..9``, ``3`` or ``1,5,8..10``; ``ConfigError`` for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        low, dots, high = part.strip().partition("..")
        if not low.isdecimal() or (dots and not high.isdecimal()) or len(low + high) > 18:
            raise ConfigError(f"--seeds {text}: expected something like 0..9 or 1,5,8")
        seeds += range(int(low), int(high or low) + 1) if int(high or low) - int(low) < 10_000 else []
    if not seeds:
        raise ConfigError(f"--seeds {text}: names no seed, or too many")
    return list(dict.fromkeys(seeds))


def parse_variations(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of ``KEY=V1,V2`` settings, each a tuple of ``KEY=VALUE``; one empty tuple without any."""
    choices = []
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values:
            raise ConfigError(f"--vary {text}: expected KEY=VALUE,VALUE,...")
        choices.append([f"{key}={value}" for value in values.split(",")])
    return list(itertools.product(*choices))


def sweep(
    data: Path,
    folder: Path,
    seeds: Sequence[int],
    *,
    options: Sequence[str] = (),
    variations: Sequence[tuple[str, ...]] = ((),),
    jobs: int | None = None,
    split: str = "validation",
    say: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Train every seed of every variation into ``folder``; write sweep.json and sweep.md, and return the former.

    ``options`` go to ``airctl train`` as they are. Accuracies are those of the ``validation`` scenes, or of the data's
    ``test`` split, which is for the last word and not for choosing. A run that fails counts as accuracy 0.
    """
    if split not in ("validation", "test"):
        raise ConfigError(f"--split {split}: expected validation or test")
    runs = [
        (settings, seed, folder / "-".join([*(s.replace("/", "_") for s in settings), f"seed={seed}"]))
        for settings in variations
        for seed in seeds
    ]

    def one(settings: tuple[str, ...], seed: int, run: Path) -> dict[str, Any]:
        words = [w for setting in settings for w in ("--set", setting)]
        command = [sys.executable, "-m", "airctl", "train", str(data), "--run", str(run), *options, *words]
        command += ["--seed", str(seed), "--threads", "1", "--resume", "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        row: dict[str, Any] = {"run": run.name, "settings": list(settings), "seed": seed, "accuracy": 0.0}
        if done.returncode:
            row["failed"] = done.stderr.strip().splitlines()[-1:]
            say(f"{run.name}: failed, exit code {done.returncode}: {' '.join(row['failed'])}")
            return row
        trained = json.loads(done.stdout)
        metrics = RunFolder(run).read_metrics()
        accuracy = trained["validation_accuracy"] or 0.0
        if split == "test":
            accuracy = evaluate(run, split="test")["count_accuracy"]
        row |= {"accuracy": accuracy, "steps": trained["steps"]}
        row |= {f"steps_to_{level:.0%}": steps_to(metrics, level) for level in LEVELS}
        say(f"{run.name}: {accuracy:.2%}")
        return row

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        rows = list(pool.map(lambda arguments: one(*arguments), runs))
    if all("failed" in row for row in rows):
        raise AirctlError(f"every run of the sweep failed, the first with: {' '.join(rows[0]['failed'])}")
    result = {"data": str(data), "options": list(options), "split": split, "runs": rows, **summary(rows)}
    write_text(folder / "sweep.json", json.dumps(result, indent=1) + "\n")
    write_text(folder / "sweep.md", sweep_table(result) + "\n")
    return result


def steps_to(metrics: Sequence[dict[str, Any]], accuracy: float) -> int | None:
    """The first validated step with at least this validation accuracy; None if there was none."""
    return next((row["step"] for row in metrics if (row.get("validation_accuracy") or 0) >= accuracy), None)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, worst and the share of runs that reached each level, over ALL rows, failed ones included."""
    accuracies = [row["accuracy"] for row in rows]
    return {
        "mean": sum(accuracies) / len(accuracies),
        "worst": min(accuracies),
        "success_rate": {f"{level:.0%}": sum(a >= level for a in accuracies) / len(accuracies) for level in LEVELS},
    }
