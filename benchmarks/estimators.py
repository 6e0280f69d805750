"""Train with every estimator at equal steps: the curves and tables of docs/estimators.md.

    python -m benchmarks.estimators DATA.h5 [--runs FOLDER] [--part training|variance]

The problem is a smaller one, so that a step takes milliseconds: the same scenes at half the resolution (means of 2 x 2
pixels, so the likelihood's sd is halved too), at most two objects, small networks, batch 32. Each estimator's learning
rate is the better of two on a seed of its own; the three seeds that are reported come after. A finished run that is
there is not trained again, so a stopped call goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch

from airctl.commands.evaluate import evaluate, kept
from airctl.commands.train import train
from airctl.config import Config, override, preset
from airctl.files import write_text
from airctl.objectives import ESTIMATORS
from airctl.reporting import table, variance_table
from airctl.reporting.charts import accuracy_curves
from airctl.reporting.figures import save
from airctl.results.sweep import steps_to
from airctl.results.table_1 import TABLE_1
from airctl.scenes import Glyphs, SceneSpec, SceneSplit, read_attributes, read_split, write_scenes
from airctl.training import RunFolder
from airctl.training.learner import Learner, training_step
from benchmarks.summary import alternate

STEPS, SEEDS = 1200, (0, 1, 2)
CHOOSING, RATES = 100, (2e-3, 5e-4)  # the seed that chooses the learning rate, and between which
SETTINGS = (
    "model.canvas=25",
    "model.num_steps=2",
    "model.glimpse=14",
    "model.what=16",
    "network.hidden=128",
    "network.predict_hidden=64",
    "model.glimpse_hidden=64",
    "likelihood.sd=0.15",
    "objective.baseline_hidden=64",
    "optimiser.schedule=constant",
    "train.batch=32",
    "train.validation=1000",
    "train.validate_every=100",
    f"train.steps={STEPS}",
    f"train.checkpoint_every={STEPS}",
    "train.keep_last=1",
)
TEST_SCENES = 2000
LEVEL = 0.9  # the count accuracy whose cost is told


def halved(data: Path, out: Path) -> None:
    """The scenes of ``data`` at half the resolution: 2 x 2 means."""
    told = read_attributes(data)
    side = int(told["canvas"]) // 2
    splits = [_halved(read_split(data, "train"), side), _halved(read_split(data, "test"), side, TEST_SCENES)]
    named = {name: told[name] for name in ("preset", "max_digits", "seed")}
    spec = SceneSpec(train=len(splits[0].counts), test=len(splits[1].counts), canvas=side, **named)
    nothing = np.zeros(0, np.uint8)
    source = f"{told['digits']}, scenes halved to {side} x {side}"
    write_scenes(out, spec, Glyphs(*[nothing] * 4, source, str(told["digits_sha256"])), *splits)


def _halved(split: SceneSplit, side: int, most: int | None = None) -> SceneSplit:
    images = split.images[:most, : 2 * side, : 2 * side].reshape(-1, side, 2, side, 2).mean((2, 4))
    boxes = split.boxes[:most].copy()
    boxes[..., 2:] += 1  # x1 and y1 are exclusive: round them up; -1 stays -1
    padded = split.boxes[:most] < 0
    boxes = np.where(padded, -1, np.minimum(boxes // 2, side)).astype(split.boxes.dtype)
    rest = (split.counts, split.labels, boxes, split.scales, split.digit_index)
    return SceneSplit(images.round().astype(np.uint8), *(values[:most] for values in rest))


def config_of(name: str, rate: float, seed: int) -> Config:
    """One run of the smaller problem."""
    own = (f"objective.estimator={name}", f"optimiser.lr={rate}", f"train.seed={seed}")
    return override(preset("recurrent"), [*SETTINGS, *own])


def trained(data: Path, runs: Path, name: str, rate: float, seed: int) -> tuple[Path, list[tuple[int, float]]]:
    """The run's folder and its validation accuracy by step; trained, or gone on with, if it is not finished."""
    run = runs / f"{name}-lr={rate:g}-seed={seed}"
    if train(data, run, config_of(name, rate, seed), resume=True, threads=1).stopped_by is not None:
        raise KeyboardInterrupt
    accuracies = [(row["step"], row.get("validation_accuracy")) for row in RunFolder(run).read_metrics()]
    curve = [(step, accuracy) for step, accuracy in accuracies if accuracy is not None]
    print(f"{run.name}: {curve[-1][1]:.2%}", file=sys.stderr, flush=True)
    return run, curve


def late(curve: Sequence[tuple[int, float]]) -> float:
    """Mean accuracy over the last third of the training, by which the learning rate is chosen."""
    return mean(accuracy for _, accuracy in curve[-(len(curve) // 3) :])


def seconds_a_step(data: Path, rounds: int = 40) -> dict[str, float]:
    """CPU seconds of a step on one thread, the median over rounds in which the estimators take turns."""
    images = torch.from_numpy(read_split(data, "train").images)
    configs = {name: config_of(name, RATES[0], 0) for name in ESTIMATORS}
    learners = {name: Learner.build(config, torch.device("cpu")) for name, config in configs.items()}
    taken: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    for turn in range(rounds):
        for name in alternate(list(ESTIMATORS), turn):
            batch = images[turn * configs[name].train.batch :][: configs[name].train.batch]
            started = time.process_time()
            training_step(learners[name], configs[name], batch, turn)
            taken[name].append(time.process_time() - started)
    return {name: median(values) for name, values in taken.items()}


def compare(data: Path, runs: Path) -> dict[str, Any]:
    """Every run, and what they come to."""
    torch.set_num_threads(1)
    small = runs / "scenes.h5"
    if not small.exists():
        runs.mkdir(parents=True, exist_ok=True)
        halved(data, small)
    rows: dict[str, Any] = {}
    for name in ESTIMATORS:
        tried = {f"{rate:g}": late(trained(small, runs, name, rate, CHOOSING)[1]) for rate in RATES}
        rows[name] = {"tried": tried, "learning_rate": max(RATES, key=lambda rate: tried[f"{rate:g}"])}
    for seed in SEEDS:
        for name, row in rows.items():
            run, curve = trained(small, runs, name, row["learning_rate"], seed)
            final = (kept(run) or evaluate(run)).count_accuracy
            reached = steps_to([{"step": s, "validation_accuracy": a} for s, a in curve], LEVEL)
            one = {"seed": seed, "curve": curve, "peak": max(a for _, a in curve), "final": final, "reached": reached}
            row.setdefault("runs", []).append(one)
    for name, seconds in seconds_a_step(small).items():
        rows[name]["seconds_a_step"] = seconds
    told = {"steps": STEPS, "seeds": SEEDS, "choosing_seed": CHOOSING, "rates": RATES, "settings": SETTINGS}
    return told | {"level": LEVEL, "test_scenes": TEST_SCENES, "torch": str(torch.__version__), "estimators": rows}


def mean_curve(row: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(step, mean validation accuracy of the seeds)."""
    return [
        (points[0][0], mean(p[1] for p in points)) for points in zip(*(r["curve"] for r in row["runs"]), strict=True)
    ]


def training_section(result: Mapping[str, Any]) -> str:
    """What was trained, and the table of it."""
    lines = []
    best_first = sorted(result["estimators"].items(), key=lambda item: -mean(r["final"] for r in item[1]["runs"]))
    for name, row in best_first:
        runs, seconds = row["runs"], row["seconds_a_step"]
        reached = [run["reached"] for run in runs if run["reached"] is not None]
        worst = max(reached) if len(reached) == len(runs) else None
        figures = [f"{pick(run[key] for run in runs):.1%}" for key in ("peak", "final") for pick in (mean, min)]
        cost = ["-", "-"] if worst is None else [str(worst), f"{worst * seconds:.0f}"]
        lines.append(
            [name, f"{row['learning_rate']:g}", *figures, f"{len(reached)}/{len(runs)}", *cost, f"{seconds:.4f}"]
        )
    level = f"{result['level']:.0%}"
    header = ["estimator", "lr", "peak, mean", "peak, worst", "final, mean", "final, worst", f"runs at {level}"]
    header += [f"steps, slowest run to {level}", "CPU s of these", "CPU s a step"]
    rates = " and ".join(f"{rate:g}" for rate in result["rates"])
    return "\n".join(
        [
            f"{result['steps']} steps each, {len(result['seeds'])} seeds each, on a smaller problem: the same digits,",
            f"in scenes halved to 25 x 25 pixels, and `{' '.join(result['settings'])}`, the rest as in preset",
            "`recurrent`.",
            f"The learning rate is the better of {rates} on seed {result['choosing_seed']}, which is not in the table:",
            "by the mean validation accuracy over the last third of its steps. Peak: the best validation accuracy of a",
            "run, looked at every 100 steps; it is a maximum, so it flatters. Final: the accuracy on",
            f"{result['test_scenes']} test scenes after the last step. Mean and worst are over ALL runs. Seconds are",
            "CPU time of one thread, of steps that took turns.",
            "",
            table(header, lines),
            "",
            "![Count accuracy against steps and seconds](estimators.png)",
        ]
    )


def between(page: str, name: str, new: str, made_by: str = "make estimators") -> str:
    """``page`` with ``new`` between its markers for ``name``; ``ValueError`` if it has none."""
    start, end = f"<!-- {name}: made by {made_by} -->", f"<!-- end of {name} -->"
    head, found, rest = page.partition(start)
    _, ended, tail = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"no markers for {name}")
    return f"{head}{start}\n\n{new}\n\n{end}{tail}"


def variance_section(run: Path, *options: str) -> str:
    """The tables of ``airctl variance-report``, measured unless the run has them already."""
    path = run / "variance.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    names = options[options.index("--estimators") + 1] if "--estimators" in options else None
    asked = list(ESTIMATORS) if names == "all" else names.split(",") if names else list(TABLE_1)
    if not result or not result.get("table_1") or list(result["estimators"]) != asked or result["samples"] < 1000:
        words = ["variance-report", str(run), "--samples", "1000", "--table-1", *options, "--json"]
        done = subprocess.run([sys.executable, "-m", "airctl", *words], stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
    command = " ".join(["airctl variance-report", f"runs/{run.name}", "--samples 1000 --table-1", *options])
    return f"    {command}\n\n{variance_table(result)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/estimators"))
    parser.add_argument("--trained", type=Path, default=Path("runs"), help="where recurrent-0 lies")
    parser.add_argument("--part", choices=("training", "variance", "all"), default="all")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    chosen = parser.parse_args()
    path = chosen.out / "estimators.md"
    if chosen.part != "variance":
        result = compare(chosen.data, chosen.runs)
        write_text(chosen.out / "estimators.json", json.dumps(result) + "\n")
        rows = result["estimators"]
        curves = {name: mean_curve(row) for name, row in rows.items()}
        timed = {name: [(s * rows[name]["seconds_a_step"], a) for s, a in curve] for name, curve in curves.items()}
        chart = accuracy_curves({"training step": curves, "CPU seconds of one thread": timed})
        save({"estimators": chart}, chosen.out)
        page = between(path.read_text(encoding="utf-8"), "training", training_section(result))
        write_text(path, page)
    if chosen.part != "training":
        section = variance_section(chosen.trained / "recurrent-0", "--estimators", "all")
        write_text(path, between(path.read_text(encoding="utf-8"), "variance", section))


if __name__ == "__main__":
    main()
