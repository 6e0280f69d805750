"""What labels buy: a small CNN that is told the true counts, ``python -m benchmarks.supervised DATA.h5``.

It is the ceiling beside which an unsupervised counter is read: trained with cross entropy on the counts of the train
split, measured once on the test split, of other files too if they are named (``--test seven.h5 nine.h5``). airctl
never sees a count while it learns, unless it is told some (``airctl train --labels N``): with ``--labels N`` the CNN is
told the same N, and sees them as often as it takes to make 1500 steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.scenes import read_split

BATCH = 64
STEPS = 1500  # at least, with few labels


def network(side: int, classes: int) -> nn.Sequential:
    """Three convolutions with pooling and one hidden layer: [B, 1, D, D] -> logits [B, classes]."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]

    layers = [*block(1, 16), *block(16, 32), *block(32, 64), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64 * (side // 8) ** 2, 128), nn.ReLU(), nn.Linear(128, classes))


def load(data: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images uint8 [n, 1, D, D] and counts int64 [n]."""
    scenes = read_split(data, split)
    return torch.from_numpy(scenes.images)[:, None], torch.from_numpy(scenes.counts.astype(np.int64))


def fit(
    images: Tensor, counts: Tensor, classes: int, epochs: int, batch: int = BATCH, lr: float = 2e-3
) -> nn.Sequential:
    """Adam over ``epochs`` shuffled passes; the learning rate falls linearly to 0."""
    net = network(images.shape[-1], classes)
    adam = torch.optim.Adam(net.parameters(), lr, fused=True)
    steps = epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / max(1, steps))
    for _ in range(epochs):
        for index in torch.randperm(len(images)).split(batch):
            loss = F.cross_entropy(net(images[index].float() / 255), counts[index])
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
    return net


@torch.no_grad()
def confusion(net: nn.Sequential, images: Tensor, counts: Tensor, classes: int) -> Tensor:
    """Scenes by true (rows) and inferred count (columns)."""
    inferred = torch.cat([net(part.float() / 255).argmax(1) for part in images.split(500)])
    return torch.bincount(counts * classes + inferred, minlength=classes**2).view(classes, classes)


def measured(net: nn.Sequential, images: Tensor, counts: Tensor, classes: int) -> dict[str, Any]:
    """Accuracy over all scenes and by true count; null where no scene has that count."""
    table = confusion(net, images, counts, classes)
    right, scenes = table.diagonal().tolist(), table.sum(1).tolist()
    return {
        "count_accuracy": sum(right) / len(counts),
        "per_count_accuracy": [r / n if n else None for r, n in zip(right, scenes, strict=True)],
        "confusion": table.tolist(),
    }


def main() -> None:
    """Train, measure, print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervised", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA.h5")
    parser.add_argument(
        "--test", type=Path, nargs="*", default=[], metavar="OTHER.h5", help="to be measured on as well"
    )
    parser.add_argument("--labels", type=int, help="only the first N scenes, as many times as make 1500 steps")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    images, counts = load(args.data, "train")
    tests = {path: load(path, "test") for path in (args.data, *args.test)}
    epochs = args.epochs
    if args.labels is not None:
        if not 0 < args.labels <= len(images):
            parser.error(f"--labels {args.labels}: expected 1 .. {len(images)}")
        images, counts = images[: args.labels], counts[: args.labels]
        epochs = max(epochs, -(-STEPS // -(-args.labels // BATCH)))
    classes = int(max(counts.max(), *(one.max() for _, one in tests.values()))) + 1
    net = fit(images, counts, classes, epochs)
    own, *others = ((path, measured(net, *test, classes)) for path, test in tests.items())
    told = {
        **own[1],
        "scenes": {"train": len(counts), "test": len(tests[args.data][1])},
        "epochs": epochs,
        "seed": args.seed,
        "others": {str(path): result for path, result in others},
    }
    print(json.dumps(told, allow_nan=False))


if __name__ == "__main__":
    main()
