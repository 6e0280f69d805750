"""Make the figures of docs/results.md: train, evaluate on the test split, and render the page from what was measured.

    python -m benchmarks.reproduce [--only NAME ...] [--runs FOLDER] [--data FOLDER]
    python -m benchmarks.reproduce --render

Each experiment is one command for each seed, none left out. A finished run that is there is not trained again, and an
evaluation that is there is read. What was measured is kept in docs/results.json with the commit it was measured at;
the page is made from that file alone, so nothing on it is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airctl.files import write_text
from airctl.reporting import table
from airctl.results.sweep import steps_to
from airctl.training import RunFolder

STORE, PAGE, README = Path("docs/results.json"), Path("docs/results.md"), Path("README.md")
MARK = "<!-- results -->"  # around the table of the README


@dataclass(frozen=True)
class Experiment:
    """One recipe from several seeds, evaluated on the test split of one scene file."""

    name: str
    title: str
    data: Sequence[str]  # options of generate-data
    train: Sequence[str]  # options of train
    seeds: Sequence[int]
    shown: Sequence[str] = ()  # options of generate-data of other scenes that the runs are shown; none: their own

    @property
    def scenes(self) -> str:
        """The name of the scene file it is trained on."""
        return "-".join(["scenes", *(word.strip("-") for word in self.data)]) + ".h5"


EXPERIMENTS = (
    Experiment("fast", "Preset fast, 0-2 digits", (), ("--preset", "fast"), range(10)),
    Experiment(
        "fast-shown-3",
        "The same runs, trained on 0-2 digits, shown 0-3",
        (),
        ("--preset", "fast"),
        range(10),
        shown=("--max-digits", "3"),
    ),
    Experiment("fast-400", "Preset fast, 400 steps", (), ("--preset", "fast", "--steps", "400"), range(5)),
    Experiment("fast-200", "Preset fast, 200 steps", (), ("--preset", "fast", "--steps", "200"), range(5)),
    Experiment("fast-0-3", "Preset fast, 0-3 digits", ("--max-digits", "3"), ("--preset", "fast"), range(5)),
    Experiment(
        "fast-0-5",
        "Preset fast, 0-5 digits on 80 x 80 pixels, M = 10, 4000 steps",
        ("--max-digits", "5", "--canvas", "80"),
        ("--preset", "fast", "--steps", "4000", "--set", "model.num_steps=10", "--set", "network.dense=2"),
        range(5),
    ),
    Experiment("recurrent", "Preset recurrent, 0-2 digits", (), ("--preset", "recurrent"), range(10)),
    Experiment("paper", "Preset paper, 0-2 digits, 20 000 steps", (), ("--preset", "paper"), range(5)),
    Experiment(
        "paper-lr",
        "Preset paper, baseline's learning rate 0.1",
        (),
        ("--preset", "paper", "--set", "optimiser.baseline_lr=0.1"),
        range(5),
    ),
)


def airctl(*words: str) -> dict[str, Any]:
    """Run a command with --json and return what it prints; its messages go to stderr as they come."""
    print("airctl", shlex.join(words), file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "airctl", *words, "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def scenes(folder: Path, options: Sequence[str]) -> Path:
    """The scene file of those options, made if it is not there."""
    path = folder / ("-".join(["scenes", *(word.strip("-") for word in options)]) + ".h5")
    if not path.exists():
        airctl("generate-data", str(path), *options)
    return path


def measured(experiment: Experiment, seed: int, data: Path, runs: Path) -> dict[str, Any]:
    """One row: the run of that seed, trained if it is not finished, and its evaluation."""
    name = experiment.name.removesuffix("-shown-3")
    run, options = runs / f"{name}-{seed}", (*experiment.train, "--seed", str(seed), "--threads", "1")
    airctl("train", str(scenes(data, experiment.data)), "--run", str(run), *options, "--resume")
    shown = ("--data", str(scenes(data, experiment.shown))) if experiment.shown else ()
    result = airctl("eval", str(run), *shown)
    metrics = RunFolder(run).read_metrics()
    kept = (
        "step",
        "count_accuracy",
        "count_accuracy_sampled",
        "per_count_accuracy",
        "elbo",
        "mean_iou",
        "average_precision",
    )
    row = {"seed": seed, **{key: result[key] for key in (*kept, "outcomes", "data_sha256", "weights_sha256")}}
    return row | {"to_95": steps_to(metrics, 0.95), "to_98": steps_to(metrics, 0.98)}


def commands(experiment: Experiment) -> list[str]:
    """What to type for the first seed."""
    name, seed = experiment.name.removesuffix("-shown-3"), experiment.seeds[0]
    run = f"runs/{name}-{seed}"
    train = ["airctl", "train", f"data/{experiment.scenes}", "--run", run, *experiment.train]
    lines = [["airctl", "generate-data", f"data/{experiment.scenes}", *experiment.data]]
    lines.append([*train, "--seed", str(seed), "--threads", "1"])
    if experiment.shown:
        other = "-".join(["scenes", *(word.strip("-") for word in experiment.shown)]) + ".h5"
        lines.append(["airctl", "generate-data", f"data/{other}", *experiment.shown])
        return [shlex.join(line) for line in (*lines, ["airctl", "eval", run, "--data", f"data/{other}"])]
    return [shlex.join(line) for line in (*lines, ["airctl", "eval", run])]


def rendered(store: Mapping[str, Any]) -> str:
    """The page."""
    head = [
        "# Results",
        "",
        "Made by `python -m benchmarks.reproduce` from docs/results.json. Test scenes are the 10 000 of that split,",
        "of digits never seen in training. A count is the most probable one after one pass of the network, without a",
        "gradient step at evaluation. Every seed is in every mean.",
    ]
    parts = [_section(experiment, store[experiment.name]) for experiment in EXPERIMENTS if experiment.name in store]
    return "\n\n".join(["\n".join(head), *parts]) + "\n"


def _section(experiment: Experiment, entry: Mapping[str, Any]) -> str:
    rows, lines = entry["runs"], [f"## {experiment.title}", "", *(f"    {line}" for line in commands(experiment)), ""]
    if entry.get("note"):
        lines += [entry["note"], ""]
    header = ["seed", "steps", "test accuracy", "bound", "mean IoU", "AP at 0.5", "to 95 %", "to 98 %"]
    lines += [table(header, [_row(row) for row in rows]), ""]
    accuracies = [row["count_accuracy"] for row in rows]
    told = f"Mean of all {len(rows)} runs {statistics.mean(accuracies):.2%}, worst {min(accuracies):.2%}"
    if all(row.get("to_98") for row in rows) and not experiment.shown:
        median = statistics.median(row["to_98"] for row in rows)
        told += f"; 98 % of the validation scenes after {median:g} steps in the median run"
    lines.append(f"{told}. Measured at commit {entry['commit']}.")
    if all(row.get("per_count_accuracy") for row in rows):
        counts = list(rows[0]["per_count_accuracy"])
        means = [statistics.mean(row["per_count_accuracy"][n] for row in rows) for n in counts]
        lines += [
            "",
            "By true count: " + ", ".join(f"{n}: {mean:.2%}" for n, mean in zip(counts, means, strict=True)) + ".",
        ]
    if entry.get("labels"):
        lines += [
            "",
            f"What labels buy: {entry['labels']:.2%}, a small CNN told the counts (`python -m benchmarks.supervised`).",
        ]
    return "\n".join(lines)


def readme_table(store: Mapping[str, Any]) -> str:
    """One row an experiment, for the README."""
    rows = []
    for experiment in EXPERIMENTS:
        if experiment.name not in store:
            continue
        runs = store[experiment.name]["runs"]
        accuracies = [row["count_accuracy"] for row in runs]
        seeds = f"seeds {runs[0]['seed']} to {runs[-1]['seed']}" if len(runs) > 1 else f"seed {runs[0]['seed']}"
        told = f"mean {statistics.mean(accuracies):.2%}, worst {min(accuracies):.2%}"
        to = [row.get("to_98") for row in runs]
        median = f"{statistics.median(to):g}" if all(to) and not experiment.shown else "-"
        rows.append([f"{experiment.title}, {seeds}", told, str(runs[0]["step"]), median])
    return table(["", "count accuracy", "steps of batch 64", "steps to 98 % (median)"], rows)


def _row(row: Mapping[str, Any]) -> list[str]:
    def number(name: str, digits: int) -> str:
        return "-" if row.get(name) is None else f"{row[name]:.{digits}f}"

    to = [str(row.get(name) or "-") for name in ("to_95", "to_98")]
    fit = [number("elbo", 1), number("mean_iou", 3), number("average_precision", 3)]
    return [str(row["seed"]), str(row["step"]), f"{row['count_accuracy']:.2%}", *fit, *to]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=[e.name for e in EXPERIMENTS], help="repeatable; all by default"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--render", action="store_true", help="only make the page again")
    chosen = parser.parse_args()
    store = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    wanted = [] if chosen.render else [e for e in EXPERIMENTS if not chosen.only or e.name in chosen.only]
    for experiment in wanted:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        rows = [measured(experiment, seed, chosen.data, chosen.runs) for seed in experiment.seeds]
        store[experiment.name] = store.get(experiment.name, {}) | {"commit": commit, "runs": rows}
        write_text(STORE, json.dumps(store, indent=1) + "\n")
    write_text(PAGE, rendered(store))
    before, rest = README.read_text(encoding="utf-8").split(MARK)[::2]
    write_text(README, f"{before}{MARK}\n{readme_table(store)}\n{MARK}{rest}")


if __name__ == "__main__":
    main()
