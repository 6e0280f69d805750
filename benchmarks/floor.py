"""How far a training step is from what this machine could do: ``python -m benchmarks.floor [--out docs]``.

The floor of a step is the larger of two times: its multiplications and additions at the rate of a large matrix product,
and the bytes that the optimiser alone must move (each parameter, gradient and moment read once, parameter and moments
written once) at the rate of a large copy. Both rates and the step are measured in the same run, in alternation.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyro
import torch
from torch.utils.flop_counter import FlopCounterMode

from airctl.files import write_text
from airctl.reporting import table
from airctl.scenes import SceneSpec, compose_scenes, load_glyphs
from benchmarks.steppers import CONTENDERS, AirctlStep


def milliseconds(work: Callable[[], object]) -> float:
    """One call of ``work``."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Count, measure in alternation, print the table, write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for performance.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    glyphs = load_glyphs("font", Path("data/mnist"), 0, lambda message: None)
    images = torch.from_numpy(compose_scenes(SceneSpec(train=2000, test=0, seed=0), glyphs)[0].images)
    square, block = torch.randn(1024, 1024), torch.randn(1 << 24)
    copy = torch.empty_like(block)
    rates: dict[str, Callable[[], object]] = {"product": lambda: square @ square, "copy": lambda: copy.copy_(block)}
    steps = {name: make(images) for name, make in CONTENDERS.items()}
    work, flops = rates | dict(steps), {}
    for name, step in steps.items():
        step()
        with FlopCounterMode(display=False) as counter:
            step()
        flops[name] = counter.get_total_flops()
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(args.rounds):
        for name, call in work.items():
            times[name].append(milliseconds(call))
    median = {name: statistics.median(values) for name, values in times.items()}
    gflops = 2 * 1024**3 / median["product"] / 1e6
    gbytes = 2 * 4 * block.numel() / median["copy"] / 1e6
    rows = []
    for name, step in steps.items():
        floors = [f"{flops[name] / gflops / 1e6:.1f}"]
        if isinstance(step, AirctlStep):
            numbers = sum(p.numel() for p in step.learner.modules.parameters())
            floors.append(f"{7 * 4 * numbers / gbytes / 1e6:.1f}")
        else:
            floors.append("")
        times_floor = median[name] / (flops[name] / gflops / 1e6)
        rows.append([name, f"{flops[name] / 1e9:.2f}", *floors, f"{median[name]:.1f}", f"{times_floor:.1f}"])
    header = ["step of batch 64", "GFLOP", "ms at product rate", "optimiser, ms at copy rate", "ms, median", "x floor"]
    page = f"""# Performance

Made by `python -m benchmarks.floor --threads {args.threads} --rounds {args.rounds}`: torch {torch.__version__}, pyro
{pyro.__version__}, {args.threads} threads. A product of two 1024 x 1024 float32 matrices ran at {gflops:.0f} GFLOP/s, a
copy of 64 MiB at {gbytes:.0f} GB/s (read and written); both were measured between the steps below.

{table(header, rows)}

GFLOP counts the matrix products and convolutions of a step, forward and backward. A step cannot be faster than its
products at the rate of a large product; the optimiser's memory traffic is added unless the two overlap. With the same
estimator, airctl is now {median["Pyro"] / median["airctl score-function-neural"]:.1f} times as fast as Pyro.
At its floor it would be {median["Pyro"] / (flops["airctl score-function-neural"] / gflops / 1e6):.1f} times as fast:
no engine that computes airctl's products in float32 on this machine could do better.
"""
    print(page)
    if args.out:
        write_text(args.out / "performance.md", page)


if __name__ == "__main__":
    main()
