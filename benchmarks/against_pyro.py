"""airctl against Pyro on the same work in one run: ``python -m benchmarks.against_pyro [DATA.h5] [--out docs]``.

What is measured: milliseconds of a full training step (batch, forward, backward, optimiser, the ELBO as a number) of
each contender of ``steppers``, in one process, with the same threads, the same scenes in the same order and batch 64.
A pair is one block of steps of each, in an order that turns around from pair to pair; a ratio is taken within a pair,
so that what else the machine does hits both sides. Every contender warms up first. On a machine that is not quiet,
OMP_WAIT_POLICY=PASSIVE keeps waiting threads from spinning; the table says which it was.
What differs between airctl and Pyro stands at the top of ``pyro_air``. The generator's speed and peak memory are
measured in the same run, and so is, with --train, one whole training of preset fast and of preset recurrent: the
seconds to the first validation with 98 % of the counts, beside as many seconds of Pyro's steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch

from airctl.commands.train import train
from airctl.config import override, preset
from airctl.scenes import SceneSpec, generate_data, read_split
from airctl.training import Progress
from benchmarks import generator, memory
from benchmarks.steppers import CONTENDERS
from benchmarks.summary import alternate, summary, table

OURS, PYRO, FAST = "airctl score-function-neural", "Pyro", "airctl marginal, preset fast"
MEMORY_OF = (memory.NOTHING, OURS, FAST, PYRO)
TRAINED = {"fast": 50, "recurrent": 100}  # presets that are trained to the end, and steps between their validations
PYRO_STEPS = 100  # timed right after them, in the same process


def measure_steps(images: torch.Tensor, pairs: int, steps: dict[str, int], warmup: int) -> dict[str, Any]:
    """Blocks of ``steps[name]`` steps of each contender, ``pairs`` times after ``warmup`` steps."""
    contenders = {name: make(images) for name, make in CONTENDERS.items()}
    elbos = {name: [step() for _ in range(warmup)] for name, step in contenders.items()}
    ms: dict[str, list[float]] = {name: [] for name in contenders}
    for pair in range(pairs):
        for name in alternate(list(contenders), pair):
            start = time.perf_counter()
            elbos[name] += [contenders[name]() for _ in range(steps[name])]
            ms[name].append(1e3 * (time.perf_counter() - start) / steps[name])
        print(f"pair {pair + 1}/{pairs}: " + ", ".join(f"{name} {ms[name][-1]:.0f} ms" for name in ms), flush=True)
    return {
        name: {
            "ms_a_step": summary(ms[name]),
            "pyro_over_this": summary([p / t for p, t in zip(ms[PYRO], ms[name], strict=True)]),
            "blocks_ms": ms[name],
            "steps": len(elbos[name]),
            "elbo_first": float(np.mean(elbos[name][:warmup])),
            "elbo_last": float(np.mean(elbos[name][-warmup:])),
        }
        for name in contenders
    }


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on, without the machine's name."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "cores": os.cpu_count(),
        "threads": threads,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "load_at_start": round(load, 1),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "unset"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pyro": pyro.__version__,
    }


def train_to_98(data: Path, name: str, threads: int) -> dict[str, Any]:
    """One training of preset ``name`` from seed 0: seconds of its steps to 98 % of the validation scenes, and in all.

    A step that also validates takes longer; it is counted as the mean of the steps that do not.
    """
    config = override(preset(name), [f"train.validate_every={TRAINED[name]}"])
    seconds: list[float] = []
    validated: list[bool] = []
    accuracy: list[float] = []
    last = time.perf_counter()

    def clock(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds.append(now - last)
        validated.append(progress.milestone)
        accuracy.append(progress.validation_accuracy or 0.0)
        last = now

    with tempfile.TemporaryDirectory() as folder:
        train(data, Path(folder) / "run", config, threads=threads, on_progress=clock)
    usual = statistics.mean(s for s, long in zip(seconds[1:], validated[1:], strict=True) if not long)
    steps = np.where([True, *validated[1:]], usual, seconds)  # the first also builds the model
    reached = next((index + 1 for index, share in enumerate(accuracy) if share >= 0.98), None)
    return {
        "steps": len(steps),
        "seconds": float(steps.sum()),
        "ms_a_step": 1e3 * usual,
        "steps_to_98": reached,
        "seconds_to_98": None if reached is None else float(steps[:reached].sum()),
        "validation_accuracy": accuracy[-1],
    }


def trainings(data: Path, images: torch.Tensor, threads: int) -> dict[str, Any]:
    """The trainings one after the other, then Pyro's steps."""
    result: dict[str, Any] = {name: train_to_98(data, name, threads) for name in TRAINED}
    step = CONTENDERS[PYRO](images)
    step()
    start = time.perf_counter()
    for _ in range(PYRO_STEPS):
        step()
    return result | {"pyro_seconds": time.perf_counter() - start}


def trained_section(result: dict[str, Any]) -> str:
    """What the trainings came to, if they were asked for."""
    if not result:
        return ""
    rows = []
    for name in TRAINED:
        one = result[name]
        to = "-" if one["steps_to_98"] is None else f"{one['seconds_to_98']:.0f}"
        rows.append(
            [
                f"preset {name}",
                str(one["steps_to_98"] or "-"),
                to,
                f"{one['steps']}",
                f"{one['seconds']:.0f}",
                f"{one['ms_a_step']:.0f}",
            ]
        )
    header = [
        "training from seed 0",
        "steps to 98 %",
        "seconds to 98 %",
        "steps in all",
        "seconds in all",
        "ms a step, mean",
    ]
    return f"""
## Time to 98 % of the counts

{table(header, rows)}

Seconds of training steps alone; 98 % of the validation scenes, counted every {TRAINED["fast"]} (fast) or
{TRAINED["recurrent"]} steps (recurrent). {PYRO_STEPS} steps of Pyro took {result["pyro_seconds"]:.0f} seconds right
after them in the same process.
"""


def markdown(result: dict[str, Any]) -> str:
    """docs/benchmark.md."""
    rows = []
    for name, r in result["training"].items():
        ms, ratio = r["ms_a_step"], r["pyro_over_this"]
        rows.append(
            [
                name,
                f"{ms['median']:.0f}",
                f"{ms['q1']:.0f} .. {ms['q3']:.0f}",
                f"{ratio['median']:.2f}",
                f"{ratio['min']:.2f} .. {ratio['max']:.2f}",
                f"{r['elbo_first']:.0f} -> {r['elbo_last']:.0f} ({r['steps']})",
            ]
        )
    header = ["contender", "ms a step, median", "quartiles", "times Pyro's speed", "min .. max", "ELBO (steps done)"]
    speeds, gain = result["generator"]["scenes_per_second"], result["generator"]["airctl_over_plain"]
    made = [[name, f"{s['median']:.0f}", f"{s['q1']:.0f} .. {s['q3']:.0f}"] for name, s in speeds.items()]
    peaks = [[name, f"{mib:.0f}"] for name, mib in result["peak_mib"].items()]
    facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result["machine"].items())
    return f"""# airctl against Pyro, in one run

Made by `{result["command"]}`. {facts}.

## Training, batch 64

{table(header, rows)}

{result["pairs"]} pairs of alternating blocks; a ratio is taken within a pair. All rows but the last two have the
paper's network; the first two do the same work: the score function with a neural baseline. "Pyro, tuned" is Pyro with
torch's fused Adam and without its argument checks. The ELBO (nats per scene, under the count prior of that step) of the
first and the last steps shows that each of them learns. What differs between the two sides: `benchmarks/pyro_air.py`.
The steps of preset fast are those before it makes scenes by cut and paste.
{trained_section(result["trainings"])}
## Generator

{table(["generator", "scenes a second, median", "quartiles"], made)}

airctl over the plain loop: {gain["median"]:.2f} ({gain["min"]:.2f} .. {gain["max"]:.2f}); the same bytes from both.

## Peak memory of a process that does {result["memory_steps"]} steps

{table(["process", "MiB"], peaks)}
"""


def main() -> None:
    """Measure, print the tables, write them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against_pyro", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="scenes from airctl generate-data; default: font digits")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20, help="of airctl in a block")
    parser.add_argument("--pyro-steps", type=int, default=8, help="of Pyro in a block")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-steps", type=int, default=50)
    parser.add_argument("--scenes", type=int, default=2000, help="of the generator in a block")
    parser.add_argument("--train", action="store_true", help="train to the end, too: minutes")
    parser.add_argument("--out", type=Path, help="folder for benchmark.md and benchmark.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    command = "python -m benchmarks.against_pyro" + (" DATA.h5" if args.data else "")
    command += "".join(
        f" --{key.replace('_', '-')}" + ("" if value is True else f" {value}")
        for key, value in vars(args).items()
        if key != "data" and value != parser.get_default(key)
    )
    steps = {name: args.pyro_steps if name.startswith("Pyro") else args.steps for name in CONTENDERS}
    facts = machine(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or Path(folder) / "font.h5"
        if args.data is None:
            generate_data(data, SceneSpec(train=4000, test=0, seed=0), digits="font")
        peaks = {name: memory.measure(name, data, args.memory_steps, args.threads) for name in MEMORY_OF}
        images = torch.from_numpy(read_split(data, "train").images)
        trained = trainings(data, images, args.threads) if args.train else {}
    result = {
        "command": command,
        "machine": facts,
        "pairs": args.pairs,
        "training": measure_steps(images, args.pairs, steps, args.warmup),
        "trainings": trained,
        "generator": generator.measure(args.pairs, args.scenes),
        "memory_steps": args.memory_steps,
        "peak_mib": peaks,
    }
    print(markdown(result))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "benchmark.md").write_text(markdown(result), encoding="utf-8")
        (args.out / "benchmark.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
