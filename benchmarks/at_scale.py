"""Many GPUs and very many pictures on paper: ``python -m benchmarks.at_scale [--measure] [--out docs]``.

``--measure`` writes at-scale.json: counts that do not depend on the machine, and times of one core in CPU seconds.
Without it the section "On paper" of scaling.md is computed anew from that file. What cannot be measured on one machine
is in ``ASSUMED``, and stands in the page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from airctl.commands.found_files import TABLES
from airctl.commands.infer import infer
from airctl.commands.infer_parts import MOST
from airctl.commands.loaded import load
from airctl.commands.merged_tables import merge
from airctl.files import write_text
from airctl.reporting import table
from airctl.scenes import SceneSpec, compose_scenes, load_glyphs
from airctl.scenes.idx import MAX_BYTES
from airctl.scenes.own_pictures import picture_paths
from benchmarks.scaling import USUAL, step_of

MARK = "\n<!-- on paper: made by python -m benchmarks.at_scale -->\n"
PICTURES = 10**9
ASSUMED = {
    "launch_us": (5.0, "microseconds that a GPU takes at least for an operator"),
    "tflops": (5.0, "TFLOP/s of small float32 products on a GPU"),
    "near_us": (5.0, "microseconds a message between GPUs of one machine"),
    "near_gb": (100.0, "GB/s between them"),
    "far_us": (20.0, "microseconds a message between machines"),
    "far_gb": (25.0, "GB/s between them"),
    "gpus": (8, "GPUs of a machine"),
    "cores": (64, "cores of a machine without"),
    "memory_gb": (256, "GB of memory of either"),
    "lookup_us": (100.0, "microseconds to ask a shared file system for one file"),
}


class Operators(TorchDispatchMode):
    """Counts the operators that are called, backward too."""

    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def cpu_seconds(work: Callable[[], object], least: int = 3) -> float:
    """The least CPU seconds of a call of ``work``, in ``least`` calls."""
    times = []
    for _ in range(least):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(pictures: int) -> dict[str, Any]:
    """Everything that the page is computed from."""
    torch.set_num_threads(1)
    step = step_of(USUAL)
    step()
    with FlopCounterMode(display=False) as flops, Operators() as operators:
        step()
    measured: dict[str, Any] = {
        "command": f"python -m benchmarks.at_scale --measure --pictures {pictures}",
        "torch": torch.__version__,
        "pictures": pictures,
        "parameters": sum(p.numel() for p in step.learner.model.parameters()),
        "operators_a_step": operators.number,
        "gflop_a_step": flops.get_total_flops() / 1e9,
        "batch": USUAL["batch"],
        "step_s": cpu_seconds(step, 5),
    }
    block = bytes(1 << 26)
    measured["sha256_bytes_a_s"] = len(block) / cpu_seconds(lambda: hashlib.sha256(block).digest())
    with tempfile.TemporaryDirectory() as place:
        return measured | measured_pictures(Path(place), pictures)


def measured_pictures(place: Path, pictures: int) -> dict[str, Any]:
    """What a picture of 50 x 50 pixels costs, by the model ``digits``."""
    many = place / "many"
    many.mkdir()
    spec = SceneSpec(train=pictures, test=0, seed=0)
    scenes = compose_scenes(spec, load_glyphs("font", Path("data/mnist"), 0, lambda message: None))[0].images
    for number, pixels in enumerate(scenes):
        Image.fromarray(pixels).save(many / f"{number:09d}.png")
    np.save(place / "stack.npy", scenes)
    model = load("digits", device="cpu")
    parts = [place / f"{i}-of-2" for i in (1, 2)]

    def counted(source: Path, name: str) -> float:
        start = time.process_time()
        for _ in infer(model, [source], out=place / name, formats=("csv",)):
            pass
        return (time.process_time() - start) / pictures

    def passed_over() -> None:
        for _ in infer(model, [many], shard=(1, 10**9)):
            raise ValueError("it was to take none")

    files_s, stack_s = counted(many, "out"), counted(place / "stack.npy", "of-stack")
    for i, part in enumerate(parts, 1):
        for _ in infer(model, [many], out=part, formats=("csv",), shard=(i, 2)):
            pass
    tracemalloc.start()
    names = list(picture_paths([many]))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    merge_s = cpu_seconds(lambda: merge(parts, names, place / "merged", lambda row: None))
    if any((place / "merged" / name).read_bytes() != (place / "out" / name).read_bytes() for name in TABLES):
        raise ValueError("the merged tables are not those of one process")
    return {
        "start_s": started_s(),
        "infer_file_s": files_s,
        "infer_stack_s": stack_s,
        "passed_over_s": cpu_seconds(passed_over) / pictures,
        "merge_s": merge_s / pictures,
        "name_bytes": held / pictures,
        "file_bytes": sum(path.stat().st_size for path in names) / pictures,
        "stack_bytes": (place / "stack.npy").stat().st_size / pictures,
        "table_bytes": sum((place / "out" / name).stat().st_size for name in TABLES) / pictures,
    }


def started_s() -> float:
    """CPU seconds of a process that does nothing but load a model."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import airctl; airctl.load('digits')"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def reduced_ms(gpus: int, size: float) -> float:
    """Milliseconds of an all-reduce of ``size`` bytes by a ring or a binary tree, whichever is faster."""
    near = gpus <= ASSUMED["gpus"][0]
    latency, rate = (ASSUMED[f"{'near' if near else 'far'}_{of}"][0] for of in ("us", "gb"))
    ring = 2 * (gpus - 1) * (latency / 1e3 + size / gpus / (rate * 1e6))
    return min(ring, 2 * math.log2(gpus) * (latency / 1e3 + size / (rate * 1e6)))


def step_ms(measured: dict[str, Any], batch: float) -> float:
    """Milliseconds of a step on one GPU: its operators one after the other, or their multiplications."""
    gflop = measured["gflop_a_step"] * batch / measured["batch"]
    return max(measured["operators_a_step"] * ASSUMED["launch_us"][0] / 1e3, gflop / ASSUMED["tflops"][0])


def gpus_table(measured: dict[str, Any]) -> str:
    """A step on 1, 8 and 64 GPUs, of the batch of one and of as many batches."""
    rows, usual, size = [], measured["batch"], 4 * measured["parameters"]
    for gpus in (1, 8, 64):
        for batch in dict.fromkeys((usual, usual * gpus)):
            compute, sent = step_ms(measured, batch / gpus), reduced_ms(gpus, size) if gpus > 1 else 0.0
            faster = batch / usual * step_ms(measured, usual) / (compute + sent)
            rows.append(
                [str(gpus), str(batch), f"{compute:.2f}", f"{sent:.2f}", f"{sent / (compute + sent):.0%}",
                 f"{faster:.1f}", f"{faster / gpus:.0%}"]
            )  # fmt: skip
    return table(
        ["GPUs", "batch in all", "compute, ms", "all-reduce, ms", "share", "scenes/s, x 1", "efficiency"], rows
    )


def pictures_table(measured: dict[str, Any]) -> str:
    """What 10^9 pictures take, as files and as stacks."""
    hours = {kind: PICTURES * measured[f"infer_{kind}_s"] / 3600 for kind in ("file", "stack")}
    cores = ASSUMED["cores"][0]
    rows = [
        ["core hours of infer", *(f"{h:,.0f}" for h in hours.values())],
        [f"machines of {cores} cores for one day", *(f"{h / 24 / cores:.1f}" for h in hours.values())],
        ["pictures, TB", *(f"{PICTURES * measured[f'{kind}_bytes'] / 1e12:.2f}" for kind in hours)],
        ["tables, TB (parts and merged)", *[f"{2 * PICTURES * measured['table_bytes'] / 1e12:.2f}"] * 2],
    ]
    return table(["10^9 pictures of 50 x 50", "as PNG files", "as .npy stacks"], rows)


def limits_table(measured: dict[str, Any]) -> str:
    """What one process must do alone, and with how many pictures it reaches its limit."""
    hour, memory, lookup = 3600.0, ASSUMED["memory_gb"][0] * 1e9, ASSUMED["lookup_us"][0] / 1e6
    sha256_s = measured["stack_bytes"] / measured["sha256_bytes_a_s"]
    each = (
        ("all in one stack, which every part reads whole (refused above 1 GiB)", measured["stack_bytes"], MAX_BYTES),
        ("every part holds the list of all files", measured["name_bytes"], memory),
        ("every part asks of each file whether it is a link", lookup, hour),
        ("every part passes over the others' files", measured["passed_over_s"], hour),
        ("one process merges all rows", measured["merge_s"], hour),
        ("sha256 of a scene file, before its training", sha256_s, hour),
    )
    rows = sorted((limit / cost, what, PICTURES * cost, limit) for what, cost, limit in each)
    body = [
        [what, f"{total / 3600:,.1f} h" if limit == hour else f"{total / 1e9:,.0f} GB", f"{most:.1e}"]
        for most, what, total, limit in rows
    ]
    return table(["in one process", "for 10^9", "pictures at the limit"], body)


def on_paper(folder: Path) -> str:
    """The section, from the measurements in ``folder``; empty if there are none."""
    path = folder / "at-scale.json"
    if not path.is_file():
        return ""
    m = json.loads(path.read_text(encoding="utf-8"))
    assumed = table(["assumed, not measured", "value"], [[why, f"{value:g}"] for value, why in ASSUMED.values()])
    return f"""{MARK}
## On paper: many GPUs, 10^9 pictures

Computed by `python -m benchmarks.at_scale` from at-scale.json, which `{m["command"]}`
measured: one core, CPU seconds (of a machine that was busy with other work), torch {m["torch"]}.
**Nothing here ran on a cluster or a GPU.** What one machine cannot measure is assumed:

{assumed}

### One run on many GPUs

Preset fast has {m["parameters"] / 1e6:.2f} M parameters: a step exchanges {4 * m["parameters"] / 1e6:.2f} MB.
At batch {m["batch"]} a step is {m["operators_a_step"]:,} operators and {m["gflop_a_step"]:.2f} GFLOP
({m["step_s"]:.3f} CPU seconds on one core). On a GPU it takes the longer of two times: operators x launch, and
GFLOP / rate. An all-reduce is a ring of 2 (n - 1) messages, each 1/n of the gradient, or a tree of 2 log2(n) messages
of all of it, whichever is faster.

{gpus_table(m)}

One batch divided among GPUs gains nothing: the operators remain, and each has less to do. As many batches as GPUs keep
them busy, but a step then sees that many scenes, and how many fewer steps that needs was not measured. GPUs are better
spent on runs: seeds and settings of a sweep exchange nothing, so that 64 GPUs train 64 runs. What would speed up one
run is fewer operators (CUDA graphs, fused kernels), before more GPUs.

### 10^9 pictures

`infer --csv` by the model `digits` took {1e3 * m["infer_file_s"]:.2f} ms a picture from PNG files and
{1e3 * m["infer_stack_s"]:.2f} ms from a stack ({m["pictures"]:,} pictures), after
{m["start_s"]:.1f} CPU seconds to start a process and load the model.

{pictures_table(m)}

### Where it breaks first

The limit is an hour of one process, or its memory; the first row breaks first.

{limits_table(m)}

Also: at most {MOST} parts, since their merging has two files of each open. One HDF5 file is a stack; and on a shared
file system a file a picture costs a look-up each, by every part.

What to change then, in this order:

1. Stacks of some thousand pictures in the place of one file a picture, and a part that is a group of stacks, not a hash
   over all names: it lists and reads only its own.
2. No merging: a folder of tables is a table to DuckDB, Spark and pandas; columns (Parquet) in the place of CSV.
3. Stacks and scene files read in blocks; a sha256 that is kept beside the scene file.
"""


def main() -> None:
    """Measure if asked; print the section, and put it at the end of scaling.md where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.at_scale", description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of at-scale.json and scaling.md")
    args = parser.parse_args()
    if args.measure:
        write_text(args.out / "at-scale.json", json.dumps(measure(args.pictures), indent=1) + "\n")
    section, page = on_paper(args.out), args.out / "scaling.md"
    sys.stdout.write(section)
    write_text(page, page.read_text(encoding="utf-8").partition(MARK)[0] + section)


if __name__ == "__main__":
    main()
