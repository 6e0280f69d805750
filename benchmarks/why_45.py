"""What went wrong in the report: its choices, one at a time, in the working preset ``paper``.

    python -m benchmarks.why_45 DATA.h5 [--runs FOLDER] [--seeds 0,1,2]

Two sets of runs. From ``paper``, whose estimator and learning rates are the AIR paper's, each of the report's choices
is taken over alone; and from the report, with all of them, each is put right alone. The problem is the smaller one of
``benchmarks.estimators`` (25 x 25 pixels, small networks, batch 32), with three steps as in the report, so that a
needless step can be taken. A finished run that is there is not trained again; the page is made from what there is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, cast

import torch

from airctl.commands.evaluate import evaluate, kept
from airctl.commands.train import train
from airctl.config import Config, override, preset
from airctl.files import write_text
from airctl.objectives import ESTIMATORS, Estimator, NeuralBaseline, ScoreFunction, likelihood_signal
from airctl.objectives.score_function import Signal, per_step_signal, whole_signal
from airctl.reporting import table
from airctl.reporting.charts import accuracy_curves
from airctl.reporting.figures import save
from airctl.results.sweep import steps_to
from airctl.training import RunFolder
from benchmarks.estimators import LEVEL, between, halved
from benchmarks.estimators import SETTINGS as SMALLER

STEPS = 20_000
OWN = ("model.num_steps=3", "optimiser.schedule=constant", f"train.steps={STEPS}")
OWN += ("train.validate_every=1000", "train.checkpoint_every=1000")
SETTINGS = (*(setting for setting in SMALLER if setting.split("=")[0] not in {own.split("=")[0] for own in OWN}), *OWN)


# A reward for all decisions together has the KL in it (whole) or not (likelihood); both are the report's choices.
BASELINE, CREDIT, REWARD = "baseline masked by the current z_pres", "one reward for all steps", "no KL in the reward"
# The report's choices and what sets them; the first three make up the estimator. The paper's are those of the preset.
CHOICES: dict[str, tuple[str, ...]] = {
    BASELINE: (),
    CREDIT: (),
    REWARD: (),
    "count prior 0.01, fixed": ("count.probability=0.01", "count.anneal=none"),
    "decoder without a bias": ("model.decoder_bias=0.0",),
    "baseline's learning rate 0.1": ("optimiser.baseline_lr=0.1",),
    "sd 0.1 of the scale's prior": ("prior.where_scale=[0.1,1.0,1.0]",),
}
EVERY = frozenset(CHOICES)
ESTIMATOR = frozenset({BASELINE, CREDIT, REWARD})


def estimator_of(report: frozenset[str]) -> tuple[str, Callable[[Config], Estimator]]:
    """Its name and how it is made, with the report's choices among BASELINE, CREDIT and REWARD."""
    mask = "current" if BASELINE in report else "previous"
    signal: Signal = likelihood_signal if REWARD in report else whole_signal if CREDIT in report else per_step_signal

    def make(config: Config) -> Estimator:
        sizes = config.model
        return ScoreFunction(signal, NeuralBaseline(sizes.canvas, sizes.what, config.objective.baseline_hidden, mask))

    return f"{mask}-{signal.__name__}", make


def config_of(report: frozenset[str], seed: int) -> Config:
    """The smaller problem with the choices named in ``report`` made as there, and all others as in the paper."""
    name, make = estimator_of(report)
    cast(dict[str, Callable[[Config], Estimator]], ESTIMATORS)[name] = make
    settings = ["optimiser.baseline_lr=1e-3"]  # the paper's own, which its preset has no longer
    settings += [setting for choice, made in CHOICES.items() if choice in report for setting in made]
    settings += [f"objective.estimator={name}", f"train.seed={seed}"]
    return override(preset("paper"), [*SETTINGS, *settings])


def variants() -> dict[str, frozenset[str]]:
    """A name for each set of the report's choices that is trained."""
    one_wrong = {f"paper, but: {choice}": frozenset({choice}) for choice in CHOICES}
    # A reward without the KL is the same for all steps: per-step credit alone would put nothing right.
    one_right = {f"report, but not: {choice}": EVERY - {choice} for choice in CHOICES if choice != CREDIT}
    return {
        "paper": frozenset[str](),
        "report": EVERY,
        "paper, but: the report's estimator": ESTIMATOR,
        "report, but not: the report's estimator": EVERY - ESTIMATOR,
        **one_wrong,
        **one_right,
    }


def folder(runs: Path, name: str, seed: int) -> Path:
    """Where a run lies."""
    words = name.replace(",", "").replace(":", "").replace("'", "").replace(" ", "-")
    return runs / f"{words}-seed={seed}"


def trained(data: Path, runs: Path, name: str, seed: int) -> None:
    """Train a variant, or finish it, and count the test scenes."""
    run = folder(runs, name, seed)
    if train(data, run, config_of(variants()[name], seed), resume=True, threads=1).stopped_by is not None:
        raise KeyboardInterrupt
    if kept(run) is None:
        evaluate(run)


def study(data: Path, runs: Path, seeds: Sequence[int]) -> None:
    """Train all variants, seed after seed."""
    torch.set_num_threads(1)
    small = runs / "scenes.h5"
    if not small.exists():
        runs.mkdir(parents=True, exist_ok=True)
        halved(data, small)
    for seed in seeds:
        for name in variants():
            trained(small, runs, name, seed)


def finished(runs: Path, seeds: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """What there is of each variant: its curve, its accuracy on the test scenes (first pass), and when it learnt."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in variants():
        for seed in seeds:
            run = folder(runs, name, seed)
            evaluated = kept(run)
            if evaluated is None:
                continue
            rows = RunFolder(run).read_metrics()
            validated = [row for row in rows if row.get("validation_accuracy") is not None]
            found.setdefault(name, []).append(
                {
                    "seed": seed,
                    "curve": [(row["step"], row["validation_accuracy"]) for row in validated],
                    "final": evaluated.count_accuracy,
                    "reached": steps_to(rows, LEVEL),
                }
            )
    return found


def section(found: dict[str, list[dict[str, Any]]]) -> str:
    """The table, one row a variant."""
    lines = []
    for name, rows in found.items():
        finals = [row["final"] for row in rows]
        reached = ", ".join(str(row["reached"] or "never") for row in rows)
        lines.append([name, ", ".join(f"{final:.1%}" for final in finals), f"{mean(finals):.1%}", reached])
    seeds = sorted({row["seed"] for rows in found.values() for row in rows})
    named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    header = ["trained", "count accuracy of each seed", "mean", f"steps to {LEVEL:.0%}"]
    return "\n".join(
        [
            f"{STEPS} steps each, {named}, in scenes halved to 25 x 25 pixels, with",
            f"`{' '.join(SETTINGS)}`, the rest as in preset `paper`.",
            "Count accuracy: of 2000 test scenes after the last step, by the inference network alone.",
            "",
            table(header, lines),
            "",
            "![Count accuracy against steps](why-45-percent.png)",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/why-45"))
    parser.add_argument("--seeds", default="0,1,2", help="to train, and to tell of")
    parser.add_argument("--page-only", action="store_true", help="of the runs that there are")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    chosen = parser.parse_args()
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    if not chosen.page_only:
        study(chosen.data, chosen.runs, seeds)
    found = finished(chosen.runs, seeds)
    write_text(chosen.out / "why-45-percent.json", json.dumps(found) + "\n")
    panels = {
        f"training step, {start}": {
            name: [
                (points[0][0], mean(a for _, a in points))
                for points in zip(*(row["curve"] for row in rows), strict=True)
            ]
            for name, rows in found.items()
            if name.startswith(start)
        }
        for start in ("paper", "report")
    }
    save({"why-45-percent": accuracy_curves(panels)}, chosen.out)
    path = chosen.out / "why-45-percent.md"
    write_text(path, between(path.read_text(encoding="utf-8"), "runs", section(found), "make why-45"))


if __name__ == "__main__":
    main()
