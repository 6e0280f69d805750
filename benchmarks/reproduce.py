"""Make the figures of docs/results.md: train, evaluate on the test split, and render the page from what was measured.

    python -m benchmarks.reproduce [--only NAME ...] [--seeds 0..9] [--runs FOLDER] [--data FOLDER] [--again]
    python -m benchmarks.reproduce --table-1 RUN ...     take over what variance-report --table-1 has measured there
    python -m benchmarks.reproduce --render

Each experiment is one command for each seed. What was measured is kept in docs/results.json, run by run, with the
command, the seed and the commit it was measured at, and is not measured again without --again; a finished run in the
runs folder is not trained again in any case. The page and the table of the README are made from that file alone, so
nothing on them is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airctl.commands.loaded import load, scenes_of
from airctl.evaluation.calibration import Calibration, calibration
from airctl.files import write_text
from airctl.inference import Answer, passes
from airctl.results.sweep import steps_to
from airctl.training import RunFolder
from benchmarks import results_page
from benchmarks.experiments import EXPERIMENTS, Experiment, scenes

STORE = Path("docs/results.json")
KEPT = (
    "step",
    "count_accuracy",
    "count_accuracy_sampled",
    "per_count_accuracy",
    "elbo",
    "mean_iou",
    "average_precision",
    "outcomes",
    "data_sha256",
    "weights_sha256",
)


def airctl(*words: str) -> dict[str, Any]:
    """Run a command with --json and return what it prints; its messages go to stderr as they come."""
    return printed("airctl", *words, "--json")


def printed(module: str, *words: str) -> dict[str, Any]:
    """The JSON object that ``python -m module`` prints; ``CalledProcessError`` if it fails."""
    print(module, shlex.join(words), file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", module, *words], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measured(experiment: Experiment, seed: int, data: Path, runs: Path) -> dict[str, Any]:
    """One row: scenes that are missing are made, the run is trained if it is not finished, and then evaluated."""
    result: dict[str, Any] = {}
    for step in experiment.steps(seed, data, runs):
        if step[0] != "generate-data" or not Path(step[1]).exists():
            result = airctl(*step, *(["--resume"] if step[0] == "train" else []))
    run = runs / f"{experiment.runs_of}-{seed}"
    row = {"seed": seed, "commit": commit(), "commands": commands(experiment, seed)} | {
        key: result[key] for key in KEPT
    }
    if experiment.shown:
        other = data / scenes(experiment.shown)
        return row | {"calibration": plain(calibrated(run, "test", other))}
    metrics = RunFolder(run).read_metrics()
    row |= {"to_95": steps_to(metrics, 0.95), "to_98": steps_to(metrics, 0.98)}
    validation = calibrated(run, "train", data / scenes(experiment.data))
    return row | {"calibration": plain(calibrated(run, "test", None)), "validation_ece": round(validation.error, 6)}


def calibrated(run: Path, split: str, data: Path | None) -> Calibration:
    """Calibration of p(n | x) on the scenes of ``split``; of the train split those held out for validation."""
    loaded = load(run)
    shown = scenes_of(loaded, data, split)
    first = max(0, len(shown.images) - loaded.config.train.validation) if split == "train" else 0
    log_p = loaded.log_p()
    chunks = passes(
        loaded.model, shown.images[first:], log_p, lambda batch: loaded.model.mean_noise(batch, len(log_p) - 1)
    )
    posteriors = [Answer.of(loaded.model, objects, terms).log_count.exp() for objects, terms in chunks]
    return calibration(torch.cat(posteriors).cpu().numpy(), shown.split.counts[first:].astype(np.int64))


def plain(found: Calibration) -> dict[str, Any]:
    """As the store has it: the error, and [scenes, mean probability, accuracy] of each bin."""
    bins = zip(found.scenes.tolist(), found.confidence.round(5).tolist(), found.accuracy.round(5).tolist(), strict=True)
    return {"ece": round(found.error, 6), "bins": [list(one) for one in bins]}


def commands(experiment: Experiment, seed: int) -> list[str]:
    """What to type for one seed."""
    return [shlex.join(["airctl", *step]) for step in experiment.steps(seed)]


def commit() -> str:
    """The commit that is measured, with a + if the code differs from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--porcelain", "--", "airctl"))


def known_labels(store: Mapping[str, Any], experiment: Experiment) -> float | None:
    """The accuracy of a CNN that is told the counts of the same scenes, if any experiment of the store has it."""
    same = [one for one in EXPERIMENTS if (one.shown or one.data) == (experiment.shown or experiment.data)]
    found = (store.get(other.name, {}).get("labels") for other in same)
    return next((accuracy for accuracy in found if accuracy is not None), None)


def measure(experiment: Experiment, seeds: Iterable[int], data: Path, runs: Path, again: bool) -> None:
    """Measure what the store does not have of an experiment, and keep each figure as soon as it is there."""
    for seed in seeds:
        if again or all(row["seed"] != seed for row in read_store().get(experiment.name, {}).get("runs", [])):
            keep(experiment, row=measured(experiment, seed, data, runs))
    if experiment.labels and known_labels(read_store(), experiment) is None:
        shown = data / scenes(experiment.shown or experiment.data)
        keep(experiment, labels=printed("benchmarks.supervised", str(shown))["count_accuracy"])


def keep(experiment: Experiment, row: Mapping[str, Any] | None = None, labels: float | None = None) -> None:
    """Add a row, or what labels buy, to the store as it is now: other processes may measure other experiments."""
    store = read_store()
    entry = store.setdefault(experiment.name, {"runs": []})
    if row is not None:
        rows = {one["seed"]: one for one in entry["runs"]} | {row["seed"]: row}
        entry["runs"] = [rows[seed] for seed in sorted(rows)]
    if labels is not None:
        entry["labels"] = labels
    write_store(store)


def keep_table_1(runs: Sequence[Path]) -> None:
    """Add what ``variance-report --table-1`` has left in each of ``runs`` to the store."""
    store = read_store()
    entry = store.setdefault("table-1", {"note": "", "runs": []})
    for run in runs:
        told = json.loads((run / "variance.json").read_text(encoding="utf-8"))
        config = load(run).config
        train = f"airctl train data/scenes.h5 --run runs/{run.name} --preset {config.preset} --seed {config.train.seed}"
        fits = f" --fit-steps {told['fit_steps']}" if told["fit_steps"] != 1000 else ""
        measure = f"airctl variance-report runs/{run.name} --samples {told['samples']}{fits} --table-1"
        measure += f" --checkpoint {told['step']}" if told["step"] < config.train.steps else ""
        row = {key: told[key] for key in ("step", "samples", "batch", "fit_steps", "fitted")}
        row |= {"run": f"Preset {config.preset}", "commands": [train, measure], "commit": commit()}
        entry["runs"] = [*(one for one in entry["runs"] if one["run"] != row["run"]), row | {"rows": told["table_1"]}]
    write_store(store)


def numbers(text: str) -> list[int]:
    """0..4 or 0,3,7 as on the command line of ``airctl sweep``."""
    first, dots, last = text.partition("..")
    return list(range(int(first), int(last) + 1)) if dots else [int(word) for word in text.split(",")]


def read_store() -> dict[str, Any]:
    """What was measured so far."""
    store: dict[str, Any] = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    return store


def write_store(store: Mapping[str, Any]) -> None:
    """Keep what was measured; a list of numbers takes one line."""
    text = json.dumps(store, indent=1, allow_nan=False)
    write_text(STORE, re.sub(r"\[[^][{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n")


def render(store: Mapping[str, Any]) -> None:
    """Write the page and the table of the README."""
    told = [
        results_page.Told(
            title=one.title,
            commands=commands(one, one.seeds[0]),
            elsewhere=bool(one.shown),
            entry={**store[one.name], "labels": known_labels(store, one)},
        )
        for one in EXPERIMENTS
        if store.get(one.name, {}).get("runs")
    ]
    write_text(results_page.PAGE, results_page.page(told, store.get("table-1")))
    readme = results_page.README.read_text(encoding="utf-8")
    write_text(results_page.README, results_page.with_table(readme, told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=[e.name for e in EXPERIMENTS], help="repeatable; all by default"
    )
    parser.add_argument("--seeds", type=numbers, help="0..9 or 0,3,7; by default those of the experiment")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--again", action="store_true", help="measure what the store has, too")
    parser.add_argument("--table-1", type=Path, nargs="*", default=[], metavar="RUN", help="runs to take it from")
    parser.add_argument("--render", action="store_true", help="only make the pages again")
    chosen = parser.parse_args()
    failed = []
    keep_table_1(chosen.table_1)
    only = [] if chosen.render or chosen.table_1 else chosen.only or [one.name for one in EXPERIMENTS]
    wanted = [one for one in EXPERIMENTS if one.name in only]
    for experiment in wanted:
        seeds = chosen.seeds if chosen.seeds is not None else experiment.seeds
        try:
            measure(experiment, seeds, chosen.data, chosen.runs, chosen.again)
        except subprocess.CalledProcessError as error:  # its message is on stderr; the other experiments go on
            failed.append(f"{experiment.name}: {shlex.join(error.cmd[2:])} ended with {error.returncode}")
    render(read_store())
    if failed:
        sys.exit("not measured: " + "; ".join(failed))


if __name__ == "__main__":
    main()
