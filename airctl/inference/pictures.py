"""What a trained model finds in a picture of any kind: the count, boxes in pixels of the picture, crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airctl.inference.answer import Answer
from airctl.inference.detections import INK
from airctl.inference.passes import passes
from airctl.model import AIR
from airctl.scenes import Fitted, Fitting, Picture, fit


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
        return [cut_out(self.picture, box.box) for box in self.boxes]

    def as_json(self) -> dict[str, Any]:
        """{image, count, probabilities, boxes: [{box, probability}]}."""
        boxes = [
            {"box": [round(edge, 1) for edge in found.box], "probability": round(found.probability, 4)}
            for found in self.boxes
        ]
        told = [round(probability, 4) for probability in self.probabilities]
        return {"image": self.image, "count": self.count, "probabilities": told, "boxes": boxes}


def find_in_pictures(model: AIR, pictures: Sequence[Picture], fitting: Fitting, log_p: Tensor) -> Iterator[Found]:
    """What the model finds in each of ``pictures``, all in one pass, under the count prior ``log_p`` [N + 1]."""
    side = model.config.model.canvas
    fitted = [fit(picture, side, fitting) for picture in pictures]
    canvases = torch.from_numpy(np.stack([f.canvas for f in fitted])).to(model.device)
    objects, terms = next(passes(model, canvases, log_p, lambda batch: model.mean_noise(batch, len(log_p) - 1)))
    answer = Answer.of(model, objects, terms)
    ink, glimpses = objects.layers.ink_boxes(INK).double(), objects.boxes.double()
    tight = torch.where((ink[..., 2:] > ink[..., :2]).all(-1, keepdim=True), ink, glimpses)
    edges = tight.gather(1, answer.order[..., None].expand(-1, -1, 4)).cpu().numpy()
    counts, drawn = answer.counts.tolist(), answer.drawn.cpu().numpy()
    present, q = answer.present.tolist(), answer.log_count.exp().tolist()
    for i, (picture, place) in enumerate(zip(pictures, fitted, strict=True)):
        count = counts[i]
        yield Found(
            image=picture.name,
            count=count,
            probabilities=tuple(q[i]),
            boxes=_boxes(place, edges[i, :count], present[i]),
            picture=picture.pixels,
            canvas=place.canvas,
            reconstruction=drawn[i],
        )


def _boxes(place: Fitted, edges: np.ndarray, present: list[float]) -> tuple[Box, ...]:
    return tuple(
        Box((x0, y0, x1, y1), p) for (x0, y0, x1, y1), p in zip(place.to_picture(edges).tolist(), present, strict=False)
    )


def cut_out(picture: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of ``picture`` under ``box``, whole pixels, at least one."""
    height, width = picture.shape[:2]
    x0, y0 = min(int(box[0]), width - 1), min(int(box[1]), height - 1)
    x1, y1 = max(x0 + 1, int(np.ceil(box[2]))), max(y0 + 1, int(np.ceil(box[3])))
    return picture[y0:y1, x0:x1]
