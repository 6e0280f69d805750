"""Make the models that come with airctl, from nothing: ``make models``.

    python -m benchmarks.models [blobs] [digits] [--work FOLDER]

Each is a list of airctl commands, in that order; the same commands give the same bytes on the same machine with the
same torch (one thread, one seed). The card beside a model is written from what the commands and the evaluation said.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from airctl.files import sha256_of, write_text

MODELS = Path("airctl/weights")
NOISES = (0.02, 0.04, 0.06, 0.08, 0.1, 0.05)  # of the pictures of cells, eight of each


def blobs(work: Path) -> list[list[str]]:
    """Commands that learn cells from pictures whose counts nobody tells them."""
    folders = [str(work / f"cells-{noise}") for noise in NOISES]
    cells = [
        ["generate-cells", folder, "--pictures", "8", "--cells", "20..300", "--noise", str(noise), "--touch", "0.8",
         "--dark", "none", "--seed", str(100 + number), "--force"]
        for number, (folder, noise) in enumerate(zip(folders, NOISES, strict=True))
    ]  # fmt: skip
    data, run = str(work / "blobs.h5"), str(work / "blobs")
    recipe = ["model.fade=0.2", "model.num_steps=8", "network.dense=2", "train.validate_every=1500"]
    settings = [word for setting in recipe for word in ("--set", setting)]
    return [
        *cells,
        ["import", *folders, "-o", data, "--adapt", "--force"],
        ["train", data, "--run", run, "--steps", "1500", *settings, "--threads", "1", "--resume"],
        ["export", run, "-o", str(MODELS / "blobs.airctl"), "--force"],
    ]


def digits(work: Path) -> list[list[str]]:
    """Commands that learn the digits of Multi-MNIST."""
    data, run = str(work / "scenes.h5"), str(work / "digits")
    return [
        ["generate-data", data, "--force"],
        ["train", data, "--run", run, "--threads", "1", "--resume"],
        ["export", run, "-o", str(MODELS / "digits.airctl"), "--force"],
    ]


def held_out_cells(work: Path) -> list[tuple[int, int]]:
    """True and found counts of pictures of cells of other sizes, polarities and depths than those learnt from."""
    pairs = []
    for number, (diameter, bits) in enumerate((("14", "8"), ("20", "16"), ("32", "8"))):
        folder = work / f"held-out-{diameter}"
        airctl(["generate-cells", str(folder), "--pictures", "4", "--cells", "40..150", "--diameter", diameter,
                "--bits", bits, "--dark", "some", "--seed", str(7 + number), "--force"])  # fmt: skip
        lines = airctl(["infer", str(MODELS / "blobs.airctl"), str(folder), "--json"]).splitlines()
        found = {Path(told["image"]).name: told["count"] for told in map(json.loads, lines)}
        with open(folder / "counts.csv", encoding="utf-8", newline="") as stream:
            pairs += [(int(row["count"]), found[row["image"]]) for row in csv.DictReader(stream)]
    return pairs


def airctl(words: Sequence[str]) -> str:
    """Run one command; returns its stdout, and ends with it if it fails."""
    print("airctl", *words, file=sys.stderr, flush=True)
    return subprocess.run(
        [sys.executable, "-m", "airctl", *words], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def card(name: str, what: str, measured: str, limits: str, commands: Sequence[Sequence[str]]) -> None:
    """Write the card of a model beside it."""
    path = MODELS / f"{name}.airctl"
    lines = "\n".join("airctl " + " ".join(words) for words in commands)
    write_text(
        path.with_suffix(".md"),
        f"# {name}\n\n{what}\n\n{measured}\n\n{limits}\n\nMade by `make models`:\n\n```sh\n{lines}\n```\n\n"
        f"sha256 of `{path.name}`, {path.stat().st_size / 1e6:.2f} MB: `{sha256_of(path)}`. MIT licence, as airctl.\n",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=["blobs", "digits"], help="by default both")
    parser.add_argument("--work", type=Path, default=Path("runs/models"), help="for data and runs")
    chosen = parser.parse_args()
    for name in chosen.names or ["blobs", "digits"]:
        commands = {"blobs": blobs, "digits": digits}[name](chosen.work)
        for words in commands:
            airctl(words)
        if name == "blobs":
            pairs = held_out_cells(chosen.work)
            errors = [abs(found - true) / true for true, found in pairs]
            card(
                name,
                "Round things such as cells and grains, bright on dark or dark on bright, of any size in pixels. "
                "Learnt from 48 generated pictures of 600 x 400 pixels with 20 to 300 noisy and touching cells; "
                "no count was used.",
                f"On {len(pairs)} pictures of other cells, of 14, 20 and 32 pixels, 8 and 16 bits, some dark on "
                f"bright: mean absolute error of the count {sum(errors) / len(errors):.1%}, worst {max(errors):.1%}.",
                "It expects things of one size, brighter or darker than a smooth background. Learn your own objects "
                "with `airctl count` where they look different.",
                commands,
            )
        else:
            told = json.loads(airctl(["eval", str(chosen.work / "digits"), "--json"]))
            card(
                name,
                "Handwritten digits, bright on black, about 15 pixels high. Learnt from 60 000 Multi-MNIST scenes of 0 "
                "to 2 digits (preset fast, seed 0); no count was used.",
                f"Count accuracy on the 10 000 test scenes, of digits never seen in training: "
                f"{told['count_accuracy']:.2%}.",
                "Pictures are read pixel for pixel: say how large the digits are (--object-size) if they are not about "
                "15 pixels high.",
                commands,
            )


if __name__ == "__main__":
    main()
