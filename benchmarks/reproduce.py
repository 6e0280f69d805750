"""Make the figures of docs/results.md: the runs, their evaluation, and the page from their JSON.

    python -m benchmarks.reproduce DATA.h5 [--runs FOLDER]

Each figure stands under the command that made it. A finished run that is there is not trained again, so the page can
be made anew from the folder; nothing on it is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from airctl.files import write_text
from airctl.reporting import count_table, table, variance_table
from airctl.sweep import steps_to
from airctl.training import RunFolder

FAST_SEEDS = (0, 1, 2)
DATA_COMMAND = "airctl generate-data data/scenes.h5"


def airctl(*arguments: str) -> dict[str, Any]:
    """Run a command with --json and return what it says; its messages go to stderr as they come."""
    print("airctl", shlex.join(arguments), file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "airctl", *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def reached(run: Path, accuracy: float) -> str:
    """The first validated step at which the validation accuracy was reached."""
    return str(steps_to(RunFolder(run).read_metrics(), accuracy) or "-")


def trained(data: Path, run: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Train (or finish) ``run``, count the test scenes, and give that result with the command line."""
    options = (*options, "--threads", "1")  # bits depend on the number of threads
    airctl("train", str(data), "--run", str(run), *options, "--resume")
    command = f"airctl train data/scenes.h5 --run runs/{run.name} {shlex.join(options)}"
    return airctl("eval", str(run)), command


def shares(names: list[str], results: list[dict[str, Any]]) -> str:
    """The share of each outcome, a column a run, and their mean."""
    rows = []
    for outcome in results[0]["outcomes"]:
        values = [result["outcomes"][outcome] for result in results]
        rows.append([outcome, *(f"{value:.2%}" for value in [*values, sum(values) / len(values)])])
    return table(["outcome", *names, "mean"], rows)


def fast(data: Path, runs: Path) -> list[str]:
    """Preset fast, three seeds, on the test split."""
    lines = ["## Preset fast, 0-2 digits", ""]
    rows, results = [], []
    for seed in FAST_SEEDS:
        result, command = trained(data, runs / f"fast-{seed}", "--preset", "fast", "--seed", str(seed))
        results.append(result)
        run = runs / f"fast-{seed}"
        accuracies = [f"{result[key]:.2%}" for key in ("count_accuracy", "count_accuracy_sampled")]
        to = [reached(run, accuracy) for accuracy in (0.95, 0.98)]
        fit = [f"{result['elbo']:.1f}", f"{result['mean_iou']:.3f}", f"{result['average_precision']:.3f}"]
        rows.append([str(seed), str(result["step"]), *accuracies, *fit, *to])
        lines.append(f"    {command} && airctl eval runs/fast-{seed}")
    header = ["seed", "steps", "test accuracy", "one sample", "ELBO", "mean IoU", "AP at 0.5", "to 95 %", "to 98 %"]
    mean = sum(r["count_accuracy"] for r in results) / len(results)
    lines += ["", table(header, rows), "", f"Mean of all {len(results)} runs: {mean:.2%}.", ""]
    lines += [
        "The last two columns: steps until the validation scenes, looked at every `train.validate_every` steps, were",
        "counted as well as that.",
        "",
        "What became of the test scenes, in the words of the report's Figure 2 (docs/report.md has the definitions):",
        "",
        shares([f"seed {seed}" for seed in FAST_SEEDS], results),
    ]
    return [*lines, "", f"Seed {FAST_SEEDS[0]}, 10 000 test scenes:", "", count_table(results[0])]


def paper(data: Path, runs: Path) -> list[str]:
    """Preset paper after its 20 000 steps."""
    result, command = trained(data, runs / "paper-0", "--preset", "paper", "--seed", "0")
    run = runs / "paper-0"
    return [
        "## Preset paper after 20 000 steps",
        "",
        f"    {command} && airctl eval runs/paper-0",
        "",
        count_table(result),
        "",
        f"Steps to 95 %: {reached(run, 0.95)}; to 98 %: {reached(run, 0.98)}.",
    ]


def variance(data: Path, runs: Path) -> list[str]:
    """Table 1 on the trained models."""
    lines = ["## Table 1: variance and bias of the gradient"]
    for name in ("fast-0", "paper-0"):
        kept = runs / name / "variance.json"
        result = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
        if not result or result["samples"] < 1000:
            result = airctl("variance-report", str(runs / name), "--samples", "1000")
        lines += ["", f"    airctl variance-report runs/{name} --samples 1000", "", variance_table(result)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    chosen = parser.parse_args()
    parts = [part(chosen.data, chosen.runs) for part in (fast, paper, variance)]
    head = [
        "# Results",
        "",
        "Made by `make reproduce`. Held-out scenes are the 10 000 of the test split, of digits never seen in training.",
        "",
        f"    {DATA_COMMAND}",
    ]
    write_text(chosen.out, "\n".join(["\n".join(part) + "\n" for part in (head, *parts)]))


if __name__ == "__main__":
    main()
