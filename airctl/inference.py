"""What a trained model finds in a person's own pictures: counts, boxes, crops and reconstructions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from airctl.api import Loaded, load
from airctl.evaluation.detection import ink_boxes
from airctl.evaluation.effort import CROWDED, USUAL, Effort
from airctl.evaluation.refine import explanations
from airctl.files import atomic_path
from airctl.model import boxes as glimpse_boxes
from airctl.reporting.annotate import annotated, crop, side_by_side
from airctl.scenes import Fitted, Fitting, Picture, fit, read_scenes
from airctl.scenes.own import Refuse

_BATCH, _BATCH_PIXELS = 64, 2**25  # pictures read at once: so many, and no more once they have so many pixels


@dataclass(frozen=True)
class Box:
    """One object, in the order in which the model attended."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the picture: what the step drew there
    probability: float  # q(n >= i): that there is an i-th object


@dataclass(frozen=True)
class Found:
    """What the model finds in one picture."""

    image: str  # the file; of a stack, the file and [place]
    count: int  # the most probable n
    probabilities: tuple[float, ...]  # q(n) for n = 0..N
    boxes: tuple[Box, ...]  # as many as were counted
    picture: np.ndarray  # as it came, upright, uint8 [h, w] or [h, w, 3]
    canvas: np.ndarray  # what the model read, uint8 [D, D]
    reconstruction: np.ndarray  # what it drew, float32 [D, D] in [0, 1]

    def crops(self) -> list[np.ndarray]:
        """The objects cut out of the picture."""
        return [crop(self.picture, box.box) for box in self.boxes]

    def as_json(self) -> dict[str, Any]:
        """{image, count, probabilities, boxes: [{box, probability}]}."""
        boxes = [
            {"box": [round(edge, 1) for edge in found.box], "probability": round(found.probability, 4)}
            for found in self.boxes
        ]
        told = [round(probability, 4) for probability in self.probabilities]
        return {"image": self.image, "count": self.count, "probabilities": told, "boxes": boxes}


def infer(
    run: Path | str,
    images: Sequence[Path | str],
    *,
    fitting: Fitting | None = None,
    dataset: str | None = None,
    checkpoint: str = "last",
    num_steps: int | None = None,
    crowded: bool = False,
    device: str = "auto",
    out: Path | None = None,
    refuse: Refuse | None = None,
) -> Iterator[Found]:
    """Count and find the objects of ``images``: picture files, folders, glob patterns, .npy, .npz or HDF5 stacks.

    ``fitting`` says how a picture becomes the model's canvas; the count is the most probable one, as in ``evaluate``,
    and ``crowded`` means what it does there. Into the folder ``out`` go, for each picture, itself with the boxes, the
    objects cut out of it, and what the model read beside what it drew. A file that cannot be read goes to ``refuse``;
    without it ``InputFileError`` is raised.
    """
    loaded, effort = load(run, checkpoint, device), CROWDED if crowded else USUAL
    return _infer(loaded, images, fitting or Fitting(), dataset, num_steps, effort, out, refuse)


def _infer(
    loaded: Loaded,
    images: Sequence[Path | str],
    fitting: Fitting,
    dataset: str | None,
    num_steps: int | None,
    effort: Effort,
    out: Path | None,
    refuse: Refuse | None,
) -> Iterator[Found]:
    number = 0
    for pictures in _batches(read_scenes(images, dataset, refuse)):
        for found in _found(loaded, pictures, fitting, num_steps, effort):
            number += 1
            if out is not None:
                _draw(found, out, number)
            yield found


def _batches(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH or sum(p.pixels.size for p in batch) > _BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _found(
    loaded: Loaded, pictures: list[Picture], fitting: Fitting, num_steps: int | None, effort: Effort
) -> Iterator[Found]:
    side = loaded.config.model.canvas
    fitted = [fit(picture, side, fitting) for picture in pictures]
    canvases = torch.from_numpy(np.stack([f.canvas for f in fitted])).to(loaded.device)
    log_p = loaded.log_p(num_steps)
    rollout, terms, _ = next(explanations(loaded.model, canvases, log_p, effort))
    counts = terms.log_q.argmax(1)
    drawn = rollout.canvases[torch.arange(len(counts)), counts].cpu().numpy()
    ink, glimpses = ink_boxes(rollout.pasted).double().cpu(), glimpse_boxes(rollout.z_where, side).double().cpu()
    tight = torch.where((ink[..., 2:] > ink[..., :2]).all(-1, keepdim=True), ink, glimpses).numpy()
    present, q = terms.log_q_continue.cumsum(1).exp().tolist(), terms.log_q.exp().tolist()
    for i, (picture, place) in enumerate(zip(pictures, fitted, strict=True)):
        count = int(counts[i])
        yield Found(
            image=picture.name,
            count=count,
            probabilities=tuple(q[i]),
            boxes=_boxes(place, tight[i, :count], present[i]),
            picture=picture.pixels,
            canvas=place.canvas,
            reconstruction=drawn[i],
        )


def _boxes(place: Fitted, edges: np.ndarray, present: list[float]) -> tuple[Box, ...]:
    return tuple(
        Box((x0, y0, x1, y1), p) for (x0, y0, x1, y1), p in zip(place.to_picture(edges).tolist(), present, strict=False)
    )


def _draw(found: Found, out: Path, number: int) -> None:
    """NNNN_name.png with the boxes, _model.png with canvas and reconstruction, _1.png, _2.png... with the objects."""
    name = f"{number:04d}_{re.sub(r'[^A-Za-z0-9._-]+', '_', Path(found.image).stem)[:80]}"
    pictures = {"": annotated(found.picture, [b.box for b in found.boxes], [b.probability for b in found.boxes])}
    pictures["_model"] = side_by_side(found.canvas, found.reconstruction)
    pictures |= {f"_{i}": cut for i, cut in enumerate(map(Image.fromarray, found.crops()), 1)}
    for suffix, picture in pictures.items():
        with atomic_path(out / f"{name}{suffix}.png") as part:
            picture.save(part, format="PNG")
