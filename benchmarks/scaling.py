"""What a step costs against M, canvas side and batch: ``python -m benchmarks.scaling [--out docs]``.

For each size the time of a full training step of preset fast before it makes scenes by cut and paste (median, sizes in
alternation, so that a machine that is not quiet hits all of them) and its operations, which do not depend on the
machine. One size is varied at a time, the others stay at M = 6, canvas 50, batch 64. The exponent is the slope of
log(cost) over log(size) between the two largest sizes, for the canvas of log(cost) over log(pixels): 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import LogLocator
from torch.utils.flop_counter import FlopCounterMode

from airctl.config import override, preset
from airctl.files import write_text
from airctl.reporting import table
from airctl.reporting.figures import save
from airctl.reporting.palette import SOFT, line_colour
from airctl.reporting.plots import Chart, new_figure, style
from airctl.scenes import SceneSpec, compose_scenes, load_glyphs
from benchmarks.floor import milliseconds
from benchmarks.steppers import AirctlStep
from benchmarks.summary import alternate

SIZES: dict[str, tuple[int, ...]] = {
    "M": (2, 4, 6, 8, 10, 12),
    "canvas side": (50, 75, 100, 150, 200),
    "batch": (16, 32, 64, 128, 256, 512),
}
USUAL = {"M": 6, "canvas side": 50, "batch": 64}


def step_of(sizes: dict[str, int]) -> AirctlStep:
    """A fresh training step for M, canvas side and batch."""
    spec = SceneSpec(train=max(512, sizes["batch"]), test=0, canvas=sizes["canvas side"], seed=0)
    glyphs = load_glyphs("font", Path("data/mnist"), 0, lambda message: None)
    images = torch.from_numpy(compose_scenes(spec, glyphs)[0].images)
    settings = [f"model.num_steps={sizes['M']}", f"train.batch={sizes['batch']}"]
    return AirctlStep(override(preset("fast"), settings), images)


def measure(what: str, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds and GFLOP of a step for each size of ``what``."""
    steps = {size: step_of(USUAL | {what: size}) for size in SIZES[what]}
    gflop = {}
    for size, step in steps.items():
        step()
        with FlopCounterMode(display=False) as counter:
            step()
        gflop[size] = counter.get_total_flops() / 1e9
    times: dict[int, list[float]] = {size: [] for size in steps}
    for turn in range(rounds):
        for size in alternate([str(size) for size in steps], turn):
            times[int(size)].append(milliseconds(steps[int(size)]))
    rows = []
    for size, ms in times.items():
        low, middle, high = statistics.quantiles(ms, n=4)
        rows.append({"size": size, "ms": middle, "q1": low, "q3": high, "gflop": gflop[size]})
    return rows


def exponent(rows: Sequence[dict[str, Any]], key: str) -> float:
    """The slope of log(cost) over log(size) between the two largest sizes."""
    a, b = rows[-2], rows[-1]
    return math.log(b[key] / a[key]) / math.log(b["size"] / a["size"])


def over(what: str) -> tuple[str, int]:
    """What an exponent of ``what`` is over, in words, and the power of the size that this is."""
    return (" over pixels", 2) if what == "canvas side" else ("", 1)


def chart(result: dict[str, list[dict[str, Any]]]) -> Chart:
    """Milliseconds against each size, both axes logarithmic, with the line of growth linear in it."""
    with style():
        figure = new_figure(360 * len(result), 340)
        panels = figure.subplots(1, len(result), sharey=True, squeeze=False)[0]
        for index, (axes, (what, rows)) in enumerate(zip(panels, result.items(), strict=True)):
            draw(axes, what, rows, line_colour(index))
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g} ms")
        figure.supxlabel("bars: quartiles; grey: linear growth from the usual size", fontsize=12)
    return Chart(figure, "Cost of a training step against its sizes")


def draw(axes: Any, what: str, rows: list[dict[str, Any]], colour: str) -> None:
    """One panel: medians with their quartiles, and in grey what linear growth from the usual size would be."""
    sizes, ms = [row["size"] for row in rows], [row["ms"] for row in rows]
    usual = next(row for row in rows if row["size"] == USUAL[what])
    axes.loglog(sizes, [usual["ms"] * size / usual["size"] for size in sizes], color=SOFT, linewidth=1)
    below_above = [[row["ms"] - row["q1"] for row in rows], [row["q3"] - row["ms"] for row in rows]]
    axes.errorbar(sizes, ms, yerr=below_above, color=colour, marker="o")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_title(f"a training step against {what}")


def markdown(result: dict[str, list[dict[str, Any]]], command: str, threads: int) -> str:
    """docs/scaling.md."""
    parts = [
        f"# What a step costs\n\nMade by `{command}`: preset fast, one training step before cut and paste,"
        f" {threads} thread(s), torch {torch.__version__}. One size varied at a time; the others M = 6, canvas 50,"
        " batch 64. Times are medians and quartiles of a shared machine, sizes in alternation; GFLOP are counted and do"
        " not depend on it.\n\n"
        "![cost of a step](scaling.png)\n"
    ]
    for what, rows in result.items():
        words, power = over(what)
        body = [
            [str(r["size"]), f"{r['ms']:.1f}", f"{r['q1']:.1f} .. {r['q3']:.1f}", f"{r['gflop']:.3f}"] for r in rows
        ]
        parts.append(table([what, "ms, median", "quartiles", "GFLOP"], body))
        parts.append(
            f"\nExponent{words} between the two largest: {exponent(rows, 'ms') / power:.2f} (time), "
            f"{exponent(rows, 'gflop') / power:.2f} (operations).\n"
        )
        if what == "M":
            sizes, gflop = np.array([[r["size"], r["gflop"]] for r in rows]).T
            line = np.polyval(np.polyfit(sizes, gflop, 1), sizes)
            worst = float(abs(line / gflop - 1).max())
            parts.append(f"The operations lie on a straight line in M, the farthest {worst:.2%} from it.\n")
    return "\n".join(parts)


def main() -> None:
    """Measure, print the page, write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for scaling.md, scaling.json and scaling.png")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = {what: measure(what, args.rounds) for what in SIZES}
    from benchmarks.at_scale import on_paper  # which measures steps as they are made here

    command = f"python -m benchmarks.scaling --rounds {args.rounds} --threads {args.threads}"
    page = markdown(result, command, args.threads) + (on_paper(args.out) if args.out else "")
    print(page)
    if args.out:
        write_text(args.out / "scaling.md", page)
        write_text(args.out / "scaling.json", json.dumps({"command": command, **result}, indent=1) + "\n")
        save({"scaling": chart(result)}, args.out)


if __name__ == "__main__":
    main()
