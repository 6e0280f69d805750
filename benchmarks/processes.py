"""What a second process gains: a step shared by the processes of torchrun, and the same by one of them, in turn.

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m benchmarks.processes --batch 256 --rounds 15

Each process has one thread. Wall-clock times are medians and quartiles of the ratio of neighbours, so that what else
runs on the machine weighs on both. CPU time does not see other programs: what one process spends on a step over what
all spend on the shared one is the efficiency that an idle machine would show, but for shares of unequal size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch

from airctl.config import Config, override, preset
from airctl.group import ALONE, Group, current
from airctl.training import Learner, training_step


def main() -> None:
    """Print one line for each preset."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--presets", default="fast,paper")
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--rounds", type=int, default=15)
    asked = options.parse_args()
    torch.set_num_threads(1)
    group = current()
    for name in asked.presets.split(","):
        told = measured(name, asked.batch, asked.rounds, group)
        if group.leads:
            print(told, flush=True)


def measured(name: str, batch: int, rounds: int, group: Group) -> str:
    """The line of a preset."""
    size = ["model.object_size=22.0"] if name == "fast" else []
    config = override(preset(name), ["model.canvas=50", f"train.batch={batch}", *size])
    images = torch.randint(0, 255, (batch, 50, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shared, alone = stepper(config, images[group.rows(batch)], group), stepper(config, images, ALONE)
    walls, cpus = [], []
    for round in range(rounds + 1):
        wall, cpu = timed(shared, group)
        wall_alone, cpu_alone = timed(alone, group) if group.leads else timed(lambda: None, group)
        if round:  # the first warms up
            walls.append((wall_alone, wall))
            cpus.append((cpu_alone, sum(group.each(cpu))))
    ratios = sorted(a / b for a, b in walls)
    low, middle, high = (ratios[int(q * (len(ratios) - 1))] for q in (0.25, 0.5, 0.75))
    efficiency = statistics.median(a / b for a, b in cpus)
    mine, all_of_them = (statistics.median(pair[i] for pair in cpus) for i in (0, 1))
    return (
        f"{name}, batch {batch}, {group.size} processes, {rounds} rounds, load {os.getloadavg()[0]:.0f}: "
        f"wall {statistics.median(a for a, _ in walls) * 1e3:.0f} -> {statistics.median(b for _, b in walls) * 1e3:.0f}"
        f" ms, {middle:.2f} times as fast ({low:.2f} .. {high:.2f}); CPU {mine * 1e3:.0f} -> {all_of_them * 1e3:.0f} ms"
        f" in all, efficiency {efficiency:.2f}: {group.size * efficiency:.2f} times as fast with a core each"
    )


def stepper(config: Config, images: torch.Tensor, group: Group) -> Callable[[], None]:
    """What does the next step, beyond those that a short training begins with."""
    learner = Learner.build(config, images.device)
    learner.modules.train()
    steps = iter(range(config.train.steps // 2, config.train.steps))

    def step() -> None:
        training_step(learner, config, images, next(steps), group=group)

    return step


def timed(work: Callable[[], None], group: Group) -> tuple[float, float]:
    """Seconds until all processes have done it, and seconds of CPU of this one for its own part."""
    group.highest(0)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu = time.process_time() - cpu
    group.highest(0)
    return time.perf_counter() - wall, cpu


if __name__ == "__main__":
    main()
