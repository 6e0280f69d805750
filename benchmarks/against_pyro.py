"""airctl against Pyro on the same work in one run: ``python -m benchmarks.against_pyro [DATA.h5] [--out docs]``.

What is measured: milliseconds of a full training step (batch, forward, backward, optimiser, the ELBO as a number) of
each contender of ``steppers``, in one process, with the same threads, the same scenes in the same order and batch 64.
A pair is one block of steps of each, in an order that turns around from pair to pair; a ratio is taken within a pair,
so that what else the machine does hits both sides. Every contender warms up first. On a machine that is not quiet,
OMP_WAIT_POLICY=PASSIVE keeps waiting threads from spinning; the table says which it was.
What differs between airctl and Pyro stands at the top of ``pyro_air``. The generator's speed and peak memory are
measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch

from airctl.scenes import SceneSpec, generate_data, read_split
from benchmarks import generator, memory
from benchmarks.steppers import CONTENDERS
from benchmarks.summary import alternate, summary, table

OURS, PYRO, FAST = "airctl score-function-neural", "Pyro", "airctl exact, preset fast"
STEPS_TO_98 = {FAST: 1_000, PYRO: 25_000}  # the median of ten seeds (docs/results.md); Pyro's published example
MEMORY_OF = (memory.NOTHING, OURS, FAST, PYRO)


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


def time_to_98(training: dict[str, Any]) -> str:
    """How long each side takes to count 98 % of scenes right, at the rates measured here."""
    ours, theirs = (training[name]["ms_a_step"]["median"] * steps / 60_000 for name, steps in STEPS_TO_98.items())
    return (
        f"Time to 98 % of counts at these rates: {ours:.1f} minutes for the {STEPS_TO_98[FAST]} steps of preset\n"
        f"fast's median run (held-out scenes, docs/results.md), {theirs:.0f} minutes for the {STEPS_TO_98[PYRO]} of\n"
        f"Pyro's example (its training images, as published): {theirs / ours:.0f} times as long."
    )


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

{result["pairs"]} pairs of alternating blocks; a ratio is taken within a pair. All rows but the last have the paper's
network; the first two do the same work: the score function with a neural baseline. "Pyro, tuned" is Pyro with torch's
fused Adam and without its argument checks. The ELBO (nats a scene, under the count prior of that step) of the first
and the last steps shows that each of them learns. What differs between the two sides: `benchmarks/pyro_air.py`.

{time_to_98(result["training"])}

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
    parser.add_argument("--out", type=Path, help="folder for benchmark.md and benchmark.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    command = "python -m benchmarks.against_pyro" + (" DATA.h5" if args.data else "")
    command += "".join(
        f" --{key.replace('_', '-')} {value}"
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
    result = {
        "command": command,
        "machine": facts,
        "pairs": args.pairs,
        "training": measure_steps(images, args.pairs, steps, args.warmup),
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
