"""Make the figures of docs/results.md: the runs, their evaluation, and the page from their JSON.

    python -m benchmarks.reproduce DATA.h5 [--runs FOLDER]

Each figure stands under the command that made it. A finished run that is there is not trained again, so the page can
be made anew from the folder; nothing on it is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airctl.files import write_text
from airctl.reporting import count_table, table
from airctl.results.door import read, to_json
from airctl.results.evaluation import Evaluation
from airctl.results.outcomes import words
from airctl.results.sweep import steps_to
from airctl.training import RunFolder
from benchmarks.estimators import variance_section

FAST_SEEDS = tuple(range(10))
THREE_SEEDS = PAPER_SEEDS = tuple(range(5))
FIVE_SEEDS = (0,)
BEYOND_SEEDS = (0,)  # of preset fast, shown one digit more than in training
DATA_COMMAND = "airctl generate-data data/scenes.h5"
THREE_COMMAND = "airctl generate-data data/d3.h5 --max-digits 3"
FIVE_COMMAND = "airctl generate-data data/d5.h5 --max-digits 5 --canvas 80 --test 1000"
FAST = ("--preset", "recurrent")
CROWDED = ("--crowded",)


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


def trained(data: Path, run: Path, options: Sequence[str], look: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Train (or finish) ``run``, count the test scenes (or read how they were), and give the command lines too."""
    options = (*options, "--threads", "1")  # bits depend on the number of threads
    done = airctl("train", str(data), "--run", str(run), *options, "--resume")
    name = f"runs/{run.name}"
    evaluation = shlex.join(["airctl", "eval", name, *look])
    command = f"airctl train data/{data.name} --run {name} {shlex.join(options)} && {evaluation}"
    asked = {"step": done["steps"], "split": "test", "data": str(data.resolve()), "crowded": "--crowded" in look}
    for name in ("eval-test-crowded.json" if "--crowded" in look else "eval-test.json", "eval.json"):
        if (run / name).exists():
            result = to_json(read(Evaluation, run / name, "delete it"))
            if asked.items() <= result.items():
                return result, command
    return airctl("eval", str(run), *look), command


def supervised(data: Path, runs: Path) -> tuple[dict[str, Any], str]:
    """The CNN that is told the counts, on the same scenes."""
    kept = runs / f"supervised-{data.stem}.json"
    if not kept.exists():
        command = [sys.executable, "-m", "benchmarks.supervised", str(data)]
        kept.write_text(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout, encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8")), f"python -m benchmarks.supervised data/{data.name}"


def shares(names: list[str], results: list[dict[str, Any]]) -> str:
    """The share of each outcome, a column a run, and their mean."""
    rows = []
    for outcome in results[0]["outcomes"]:
        values = [result["outcomes"][outcome] for result in results]
        rows.append([words(outcome), *(f"{value:.2%}" for value in [*values, sum(values) / len(values)])])
    return table(["outcome", *names, "mean"], rows)


def seeds(
    title: str,
    data: Path,
    runs: Path,
    prefix: str,
    numbers: Sequence[int],
    options: Sequence[str],
    look: Sequence[str] = (),
) -> list[str]:
    """A section: the same config from several seeds on the test split, with the ceiling that labels buy."""
    lines, rows, results = [f"## {title}", ""], [], []
    for seed in numbers:
        run = runs / f"{prefix}-{seed}"
        result, command = trained(data, run, (*options, "--seed", str(seed)), look)
        results.append(result)
        accuracies = [f"{result[f'count_accuracy{kind}']:.2%}" for kind in ("", "_amortised", "_sampled")]
        to = [reached(run, accuracy) for accuracy in (0.95, 0.98)]
        fit = [f"{result['elbo']:.1f}", f"{result['mean_iou']:.3f}", f"{result['average_precision']:.3f}"]
        rows.append([str(seed), str(result["step"]), *accuracies, *fit, *to])
        if seed == numbers[0]:
            lines.append(f"    {command}")
    accuracies = [result["count_accuracy"] for result in results]
    first = [result["count_accuracy_amortised"] for result in results]
    to_98 = [steps_to(RunFolder(runs / f"{prefix}-{seed}").read_metrics(), 0.98) for seed in numbers]
    median = statistics.median([step if step is not None else math.inf for step in to_98])
    usual = f"{median:g}" if median < math.inf else "not reached"
    header = ["seed", "steps", "test accuracy", "first pass", "one sample", "ELBO", "mean IoU", "AP at 0.5"]
    ceiling, labels = supervised(data, runs)
    others = f"and the same for the other seeds, {numbers[0]} to {numbers[-1]}; none is left out."
    return [
        *lines,
        "",
        *([others, ""] if len(numbers) > 1 else []),
        table([*header, "to 95 %", "to 98 %"], rows),
        "",
        f"Mean of all {len(results)} runs {statistics.mean(accuracies):.2%}, worst {min(accuracies):.2%}; "
        f"{sum(a >= 0.98 for a in accuracies)} of {len(results)} at 98 % or more.",
        f"First pass alone: mean {statistics.mean(first):.2%}, worst {min(first):.2%}; median number of steps to 98 %",
        f"of the validation scenes, looked at every `train.validate_every` steps: {usual}.",
        "",
        f"What labels buy: {ceiling['count_accuracy']:.2%} (`{labels}`, seed {ceiling['seed']}).",
        "",
        "What became of the test scenes, in the words of the report's Figure 2 (docs/report.md has the definitions):",
        "",
        shares([f"seed {seed}" for seed in numbers], results),
        "",
        f"Seed {numbers[0]}:",
        "",
        count_table(results[0]),
    ]


def fast(data: Path, runs: Path) -> list[str]:
    """Preset fast on 0-2 digits."""
    return seeds("Preset fast, 0-2 digits", data, runs, "fast", FAST_SEEDS, FAST)


def three(data: Path, runs: Path) -> list[str]:
    """Preset fast on 0-3 digits."""
    options = (*FAST, "--steps", "8000", "--set", "model.num_steps=4")
    lines = seeds("Preset fast, 0-3 digits, N = 4", data.with_name("d3.h5"), runs, "d3", THREE_SEEDS, options, CROWDED)
    return [*lines[:2], f"    {THREE_COMMAND}", *lines[2:]]


def five(data: Path, runs: Path) -> list[str]:
    """Preset fast on 0-5 digits, on a canvas with room for them."""
    poses = ("prior.where_loc=[4.8,0.0,0.0]", "prior.where_scale=[0.32,2.0,2.0]", "posterior.where_sd_max=0.3")
    counts = ("model.num_steps=6", "count.probability=1e-4", "count.anneal_steps=1000")
    options = (*FAST, "--steps", "10000", *(word for value in (*poses, *counts) for word in ("--set", value)))
    title = "Preset fast, 0-5 digits on 80 x 80 pixels, N = 6, 1 000 test scenes"
    lines = seeds(title, data.with_name("d5.h5"), runs, "d5", FIVE_SEEDS, options, CROWDED)
    return [*lines[:2], f"    {FIVE_COMMAND}", *lines[2:]]


def beyond(data: Path, runs: Path) -> list[str]:
    """Trained on 0-2 digits, shown 0-3."""
    path = data.with_name("d3.h5")
    rows = []
    for seed in BEYOND_SEEDS:
        kept = runs / f"fast-{seed}-on-{path.stem}.json"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as folder:  # the run keeps the evaluation on its own scenes
                copied = shutil.copytree(runs / f"fast-{seed}", Path(folder) / f"fast-{seed}")
                result = airctl("eval", str(copied), "--data", str(path), "--num-steps", "4")
            write_text(kept, json.dumps(result) + "\n")
        result = json.loads(kept.read_text(encoding="utf-8"))
        right = [f"{row[count] / sum(row):.2%}" for count, row in enumerate(result["confusion"][:4])]
        rows.append([str(seed), *right, *(f"{result[f'count_accuracy{kind}']:.2%}" for kind in ("", "_amortised"))])
    header = ["seed", "0 digits", "1 digit", "2 digits", "3 digits", "all", "all, first pass"]
    return [
        "## Trained on 0-2 digits, shown 0-3",
        "",
        f"    airctl eval runs/fast-{BEYOND_SEEDS[0]} --data data/{path.name} --num-steps 4",
        "",
        "A run of preset fast from above on the test scenes of the section before, by the true number of digits:",
        "",
        table(header, rows),
    ]


def paper(data: Path, runs: Path) -> list[str]:
    """Preset paper after its 20 000 steps."""
    options = ("--preset", "paper")
    return seeds("Preset paper, 0-2 digits, 20 000 steps", data, runs, "paper", PAPER_SEEDS, options)


def quick(data: Path, runs: Path) -> list[str]:
    """Preset paper with a baseline that learns a hundred times as fast (docs/experiments.md says why)."""
    options = ("--preset", "paper", "--set", "optimiser.baseline_lr=0.1")
    return seeds("Preset paper, baseline's learning rate 0.1", data, runs, "paper-lr", PAPER_SEEDS, options)


def variance(data: Path, runs: Path) -> list[str]:
    """Table 1 on the model of the paper's recipe."""
    return [
        "## Table 1: variance and bias of the gradient",
        "",
        variance_section(runs / "paper-0"),
        "",
        "All estimators, on the model of preset fast: docs/estimators.md.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    chosen = parser.parse_args()
    parts = [part(chosen.data, chosen.runs) for part in (fast, three, five, beyond, paper, quick, variance)]
    head = [
        "# Results",
        "",
        "Made by `make reproduce`. Held-out scenes are the 10 000 of the test split (1 000 where the title says",
        "so), of digits never seen in training.",
        "Test accuracy is that of the most probable count after the second look; the first pass is q(n) alone, as",
        "other systems report it.",
        "",
        f"    {DATA_COMMAND}",
    ]
    write_text(chosen.out, "\n".join(["\n".join(part) + "\n" for part in (head, *parts)]))


if __name__ == "__main__":
    main()
