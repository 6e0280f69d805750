"""Whether several processes train as one does: the ELBO of every step and the last weights, kept and compared.

    airctl generate-data scenes.h5 --digits font --train 6000 --test 620
    python -m benchmarks.same_training scenes.h5 one paper
    torchrun --nproc-per-node 2 -m benchmarks.same_training scenes.h5 two paper --against one

A recipe is a preset and settings, such as recurrent+train.batch=32. ``--double`` trains in float64.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from airctl.commands import train
from airctl.config import override, preset
from airctl.group import current
from airctl.training import checkpoint

EVERY = ("train.validate_every=50", "train.checkpoint_every=50", "train.validation=250", "train.steps=50")


def main() -> None:
    """Train each recipe into a folder, and print one line for each that is compared."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("out", type=Path)
    options.add_argument("recipes", nargs="+")
    options.add_argument("--against", type=Path)
    options.add_argument("--double", action="store_true")
    asked = options.parse_args()
    if asked.double:
        torch.set_default_dtype(torch.float64)
    for recipe in asked.recipes:
        name, *settings = recipe.split("+")
        run, elbos = asked.out / recipe, list[float]()
        if current().leads:
            shutil.rmtree(run, ignore_errors=True)
        config = override(preset(name), [*EVERY, *settings])
        train.train(
            asked.data, run, config, threads=1, device="cpu", on_progress=lambda p, kept=elbos: kept.append(p.elbo)
        )
        if current().leads:
            (run / "elbos.json").write_text(json.dumps(elbos))
            if asked.against:
                print(f"{recipe}: {compared(run, asked.against / recipe)}", flush=True)


def compared(run: Path, other: Path) -> str:
    """The largest differences of two runs of one recipe."""
    elbos, others = (torch.tensor(json.loads((one / "elbos.json").read_text())) for one in (run, other))
    relative = ((elbos - others) / others).abs()
    far = (relative > 1e-5).nonzero()[:, 0].tolist()
    weights, known = (
        load_file(checkpoint.resolve(one / "checkpoints", "last") / checkpoint.TENSORS[0]) for one in (run, other)
    )
    most = max(float((weights[key] - known[key]).nan_to_num(0).abs().max()) for key in known if known[key].numel())
    within = f"within 1e-5 for {far[0] if far else len(elbos)} of {len(elbos)} steps"
    return f"ELBO {float(relative.max()):.0e} at most, {within}; weights {most:.0e}"


if __name__ == "__main__":
    main()
