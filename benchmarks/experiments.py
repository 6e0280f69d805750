"""The experiments of docs/results.md: on which scenes, with which options and from which seeds models are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FAST, RECURRENT, PAPER = (("--preset", name) for name in ("fast", "recurrent", "paper"))
UP_TO_3, UP_TO_5 = ("--max-digits", "3"), ("--max-digits", "5", "--canvas", "80")
UP_TO_9 = ("--max-digits", "9", "--canvas", "100")
SPAIR = ("--canvas", "48", "--scale", "2")  # digits of 14 pixels on 48 x 48, as in Crawford & Pineau 2019
CLOTHES = ("--digits", "fashion/usr/share/datasets/fashion-mnist")  # how to get it: docs/your-own-objects.md
MANY = (*FAST, "--steps", "4000", "--set", "model.num_steps=12", "--set", "network.dense=2")  # up to nine objects


@dataclass(frozen=True)
class Experiment:
    """One recipe from several seeds, evaluated on the test split of one scene file."""

    name: str
    title: str
    data: Sequence[str]  # options of generate-data
    train: Sequence[str]  # options of train
    seeds: Sequence[int]
    shown: Sequence[str] = ()  # options of generate-data of other scenes that the runs are shown; none: their own
    runs: str = ""  # the experiment whose runs these are; by default its own
    labels: bool = True  # whether a CNN that is told the counts of the same scenes is put beside it

    @property
    def runs_of(self) -> str:
        """How the folders of its runs begin."""
        return self.runs or self.name

    def steps(self, seed: int, data: Path = Path("data"), runs: Path = Path("runs")) -> list[list[str]]:
        """The commands of one seed: make the scenes, train, evaluate."""
        run, own, other = str(runs / f"{self.runs_of}-{seed}"), data / scenes(self.data), data / scenes(self.shown)
        steps = [["generate-data", str(own), *self.data]]
        steps.append(["train", str(own), "--run", run, *self.train, "--seed", str(seed), "--threads", "1"])
        if not self.shown:
            return [*steps, ["eval", run]]
        return [*steps, ["generate-data", str(other), *self.shown], ["eval", run, "--data", str(other)]]


def scenes(options: Sequence[str]) -> str:
    """The name of the scene file that generate-data makes with these options."""
    return "-".join(["scenes", *(Path(word).name.strip("-") for word in options)]) + ".h5"


EXPERIMENTS = (
    Experiment("fast", "Preset fast, 0-2 digits", (), FAST, range(10)),
    Experiment("fast-400", "Preset fast, 400 steps", (), (*FAST, "--steps", "400"), range(5)),
    Experiment("fast-200", "Preset fast, 200 steps, twenty seeds", (), (*FAST, "--steps", "200"), range(20)),
    Experiment("fast-0-3", "Preset fast, 0-3 digits", UP_TO_3, FAST, range(5)),
    Experiment(
        "fast-0-3-long",
        "Preset fast, 0-3 digits, M = 8, 4000 steps",
        UP_TO_3,
        (*FAST, "--steps", "4000", "--set", "model.num_steps=8", "--set", "network.dense=2"),
        range(5),
    ),
    Experiment(
        "fast-0-5",
        "Preset fast, 0-5 digits on 80 x 80 pixels, M = 10, 4000 steps",
        UP_TO_5,
        (*FAST, "--steps", "4000", "--set", "model.num_steps=10", "--set", "network.dense=2"),
        range(5),
    ),
    Experiment(
        "fast-0-9",
        "Preset fast, 0-9 digits on 100 x 100 pixels, M = 12, 4000 steps",
        UP_TO_9,
        MANY,
        range(1),
    ),
    Experiment("fast-clothes", "Preset fast, 0-2 clothes of Fashion-MNIST", CLOTHES, FAST, range(1)),
    Experiment("fast-font", "Preset fast, 0-2 font glyphs", ("--digits", "font"), FAST, range(1)),
    Experiment(
        "fast-shown-3",
        "Preset fast, trained on 0-2 digits, shown 0-3",
        (),
        FAST,
        range(10),
        shown=UP_TO_3,
        runs="fast",
    ),
    Experiment(
        "fast-shown-5",
        "Preset fast, trained on 0-2 digits, shown 0-5 on 80 x 80 pixels",
        (),
        FAST,
        range(10),
        shown=UP_TO_5,
        runs="fast",
    ),
    Experiment(
        "fast-spair",
        "Preset fast, 1-9 digits of 14 pixels on 48 x 48, M = 12, 4000 steps",
        ("--min-digits", "1", "--max-digits", "9", *SPAIR),
        MANY,
        range(1),
    ),
    *(
        Experiment(
            f"fast-spair-{n}",
            f"The same, shown exactly {n} digit{'s' * (n > 1)}",
            ("--min-digits", "1", "--max-digits", "9", *SPAIR),
            MANY,
            range(1),
            shown=("--min-digits", str(n), "--max-digits", str(n), *SPAIR),
            runs="fast-spair",
            labels=False,
        )
        for n in (1, 3, 5, 7, 9)
    ),
    Experiment("recurrent", "Preset recurrent, 0-2 digits", (), RECURRENT, range(10)),
    Experiment(
        "paper",
        "Preset paper, the baseline's learning rate the AIR paper's, 0.001",
        (),
        (*PAPER, "--set", "optimiser.baseline_lr=0.001"),
        range(5),
    ),
    Experiment("paper-lr", "Preset paper, 0-2 digits, 20 000 steps", (), PAPER, range(5)),
)
