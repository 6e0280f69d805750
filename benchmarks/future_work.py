"""What the choices of docs/future-work.md do to the count: one training a choice, kind of scenes and seed.

    python -m benchmarks.future_work [--only NAME ...] [--scenes 0-2 0-5] [--seeds 0..2] [--steps 600] [--test]
    python -m benchmarks.future_work --render

Accuracy is that of the validation scenes, from which one may choose; ``--test`` measures the test split as well. What
was measured is kept, run by run, with the command, the seed and the commit, in docs/future-work.json, and not measured
again; the tables of the page are made from that file alone.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from airctl.files import write_text
from benchmarks.experiments import UP_TO_5, scenes
from benchmarks.reproduce import airctl, commit, numbers, printed

STORE, PAGE = Path("docs/future-work.json"), Path("docs/future-work.md")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
SCENES: Mapping[str, Sequence[str]] = {"0-2": (), "0-5": UP_TO_5}  # options of generate-data
LARGE = {"model.num_steps": "10", "network.dense": "2"}  # of preset fast on 0-5 digits, as in docs/results.md
SIX = {"model.num_steps": "6", "network.dense": "0"}
STEPS = {"0-2": 600, "0-5": 1000}


@dataclass(frozen=True)
class Choice:
    """One row: what departs from a preset."""

    name: str
    group: str
    settings: Mapping[str, str]
    preset: str = "fast"
    drawn: bool = False  # whether each subset needs a canvas of its own: six proposals at most
    cnn: int | None = None  # a CNN that is told as many counts, in place of a training

    def train(self, kind: str, seed: int, steps: int, more: Sequence[str]) -> list[str]:
        """Options of ``airctl train``."""
        values = dict(self.settings)
        if "count.mean" in values and kind == "0-5":
            values["count.mean"] = "2.5"
        if self.preset == "recurrent" or self.drawn:
            values |= SIX if self.drawn or kind == "0-5" else {}
        elif kind == "0-5":
            values |= LARGE
        sets = [f"{key}={value}" for key, value in values.items()]
        words = ["--preset", self.preset, "--steps", str(steps), "--seed", str(seed), "--threads", "1"]
        return [*words, *(word for one in [*sets, *more] for word in ("--set", one))]


def _one(group: str, key: str, names: Iterable[str], **options: Any) -> list[Choice]:
    preset = options.get("preset", "fast")
    return [Choice(f"{key}={name}, {preset}", group, {key: name}, **options) for name in names]


BOXES = {"train.label_boxes": "yes"}
CHOICES = (
    Choice("preset fast", "Presets", {}),
    Choice("preset fast, six proposals", "Presets", {}, drawn=True),
    Choice("preset recurrent", "Presets", {}, preset="recurrent"),
    *_one("Likelihoods", "likelihood.kind", ("gaussian-learnt", "gaussian-optimal")),
    *_one(
        "Likelihoods", "likelihood.kind", ("laplace", "bernoulli", "continuous-bernoulli", "discretised-logistic"),
        drawn=True,
    ),
    Choice("count.kind=poisson", "Count priors", {"count.kind": "poisson", "count.mean": "1.0"}),
    Choice("count.kind=negative-binomial", "Count priors", {"count.kind": "negative-binomial", "count.mean": "1.0"}),
    *_one("Count priors", "count.kind", ("uniform", "empirical")),
    *_one("Posteriors", "posterior.what", ("full", "maf", "nsf")),
    *_one("Posteriors", "posterior.where", ("full", "maf", "nsf"), preset="recurrent"),
    *_one("Parts of the networks", "model.encoder", ("conv",)),
    *_one("Parts of the networks", "model.decoder", ("conv", "broadcast")),
    *_one("Parts of the networks", "network.embedding", ("raw", "resnet"), preset="recurrent"),
    *(Choice(f"{n} counts", "With labels", {"train.labels": str(n)}) for n in (10, 100, 1000, 58_000)),
    *(Choice(f"{n} counts and boxes", "With labels", {"train.labels": str(n)} | BOXES) for n in (100, 58_000)),
    *(Choice(f"{n} counts, a CNN", "With labels", {}, cnn=n) for n in (10, 100, 1000, 60_000)),
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    data: Path
    runs: Path
    steps: int | None
    more: Sequence[str]  # further settings, KEY=VALUE
    test: bool


def measured(choice: Choice, kind: str, seed: int, asked: Asked) -> dict[str, Any]:
    """One run: scenes that are missing are made, the run is trained if it is not finished."""
    path = asked.data / scenes(SCENES[kind])
    if not path.exists():
        airctl("generate-data", str(path), *SCENES[kind])
    row: dict[str, Any] = {"seed": seed, "commit": commit()}
    if choice.cnn is not None:
        words = [str(path), "--labels", str(choice.cnn), "--seed", str(seed), "--threads", "1"]
        accuracy = printed("benchmarks.supervised", *words)["count_accuracy"]
        command = shlex.join(["python", "-m", "benchmarks.supervised", *words])
        return row | {"steps": None, "command": command, "validation": None, "test": accuracy}
    steps = asked.steps if asked.steps is not None else STEPS[kind]
    words = choice.train(kind, seed, steps, asked.more)
    run = str(asked.runs / f"{_folder(choice)}-{kind}-{steps}-{seed}")
    told = airctl("train", str(path), "--run", run, *words, "--resume")
    test = airctl("eval", run)["count_accuracy"] if asked.test else None
    command = shlex.join(["airctl", "train", path.name, *words])
    return row | {"steps": steps, "command": command, "validation": told["validation_accuracy"], "test": test}


def _folder(choice: Choice) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in choice.name)


def measure(choice: Choice, kind: str, seeds: Iterable[int], asked: Asked) -> None:
    """Measure what the store does not have, and keep each figure as soon as it is there."""
    for seed in seeds:
        rows = read_store().get(choice.name, {}).get(kind, [])
        steps = None if choice.cnn is not None else asked.steps if asked.steps is not None else STEPS[kind]
        if any(one["seed"] == seed and one["steps"] == steps and (one["test"] or not asked.test) for one in rows):
            continue
        row = measured(choice, kind, seed, asked)
        store = read_store()
        kept = [one for one in store.get(choice.name, {}).get(kind, []) if (one["seed"], one["steps"]) != (seed, steps)]
        rows = sorted([*kept, row], key=lambda one: (one["steps"] or 0, one["seed"]))
        store.setdefault(choice.name, {})[kind] = rows
        write_text(STORE, json.dumps(store, indent=1, allow_nan=False) + "\n")


def read_store() -> dict[str, Any]:
    """What was measured so far: name of the choice, kind of scenes, runs."""
    store: dict[str, Any] = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    return store


def tables(store: Mapping[str, Any]) -> str:
    """A table for each group of which there is a figure, and the command of each of its first runs."""
    parts = []
    for group in dict.fromkeys(choice.group for choice in CHOICES):
        lines = [line for one in CHOICES if one.group == group for line in _lines(one, store.get(one.name, {}))]
        if lines:
            head = [
                "| choice | digits | steps | runs | validation, mean | worst | test, mean |",
                "|---|---|---|---|---|---|---|",
            ]
            commands = [
                rows[0]["command"] for one in CHOICES if one.group == group for rows in store.get(one.name, {}).values()
            ]
            parts.append("\n".join([f"### {group}, measured", "", *head, *lines, "", "```sh", *commands, "```"]))
    return "\n\n".join(parts)


def _lines(choice: Choice, entry: Mapping[str, Any]) -> list[str]:
    lines = []
    for kind, rows in entry.items():
        for steps in dict.fromkeys(row["steps"] for row in rows):
            same = [row for row in rows if row["steps"] == steps]
            known = [row["validation"] for row in same if row["validation"] is not None]
            tested = [row["test"] for row in same if row["test"] is not None]
            cells = [choice.name, kind, str(steps or ""), str(len(same)), _share(fmean, known), _share(min, known)]
            lines.append(f"| {' | '.join([*cells, _share(fmean, tested)])} |")
    return lines


def _share(of: Any, values: Sequence[float]) -> str:
    return f"{of(values):.2%}".replace("%", " %") if values else ""


def render(store: Mapping[str, Any]) -> None:
    """Put the tables into the page, between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text(PAGE, f"{before}{BEGIN}\n\n{tables(store)}\n\n{END}{after}")


def main() -> None:
    """Measure what is missing, and make the tables again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[one.name for one in CHOICES], help="repeatable")
    parser.add_argument("--scenes", nargs="*", choices=SCENES, default=list(SCENES))
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], help="0..9 or 0,3,7")
    parser.add_argument("--steps", type=int, help="of all trainings; by default 600 on 0-2 digits, 1000 on 0-5")
    parser.add_argument("--set", dest="more", action="append", default=[], metavar="KEY=VALUE", help="of all trainings")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--test", action="store_true", help="measure the test split as well")
    parser.add_argument("--render", action="store_true", help="only make the tables again")
    chosen = parser.parse_args()
    asked = Asked(chosen.data, chosen.runs, chosen.steps, chosen.more, chosen.test)
    failed = []
    for choice in [] if chosen.render else [one for one in CHOICES if not chosen.only or one.name in chosen.only]:
        for kind in chosen.scenes:
            try:
                measure(choice, kind, chosen.seeds, asked)
            except subprocess.CalledProcessError as error:  # its message is on stderr; the others go on
                failed.append(f"{choice.name}: {shlex.join(error.cmd[2:])} ended with {error.returncode}")
    render(read_store())
    if failed:
        sys.exit("not measured: " + "; ".join(failed))


if __name__ == "__main__":
    main()
