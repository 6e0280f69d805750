"""What a trained model finds in a picture of any kind and size: the count, boxes in pixels of the picture, crops."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from airctl.errors import InputFileError
from airctl.formats import dataframes
from airctl.inference.answer import Answer
from airctl.inference.detections import INK
from airctl.inference.passes import chunk_of, passes
from airctl.inference.verdict import left_over, verdict
from airctl.inference.views import check_choices, view
from airctl.inference.whole import TILE, find_in_whole
from airctl.model import AIR
from airctl.results.found import FoundObject, FoundPicture
from airctl.scenes import Fitted, Fitting, Picture
from airctl.scenes.own_pictures import Refuse


@dataclass(frozen=True)
class Box:
    """One object."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the picture: what was drawn for it
    probability: float  # that there is such an object; with a recurrent network q(n >= i) of the i-th


@dataclass(frozen=True, repr=False)
class Found:
    """What the model finds in one picture."""

    image: str  # the file; of a stack, the file and [place]
    count: int  # the most probable n
    first: int  # the count that ``probabilities`` begins with
    probabilities: tuple[float, ...]  # p(n | x) for n = first, first + 1...
    boxes: tuple[Box, ...]  # as many as were counted
    fit: float  # share of the squared brightness of what the model read that the objects explain
    at_limit: bool  # whether there may be more objects than were looked for
    verdict: str  # fine, at_limit or unlike (``airctl.results.found``)
    picture: np.ndarray  # as it is shown, upright, uint8 [h, w] or [h, w, 3]
    canvas: np.ndarray  # what the model read, uint8 [H, W]
    reconstruction: np.ndarray  # what it drew, float32 [H, W] in [0, 1]

    def __repr__(self) -> str:
        return f"<{self.image}: {self.count} objects, {self.fit:.1%} explained, {self.verdict}>"

    def _repr_png_(self) -> bytes:
        """The picture with its boxes, for a notebook."""
        shown = Image.fromarray(self.picture).convert("RGB")
        draw, width = ImageDraw.Draw(shown), max(1, max(shown.size) // 400)
        for found in self.boxes:
            draw.rectangle(found.box, outline=(255, 120, 0), width=width)
        stream = io.BytesIO()
        shown.save(stream, format="PNG")
        return stream.getvalue()

    def crops(self) -> list[np.ndarray]:
        """The objects cut out of the picture."""
        return [cut_out(self.picture, box.box) for box in self.boxes]

    def result(self) -> FoundPicture:
        """The same without pixels, rounded to a tenth of a pixel and a hundredth of a per cent: what files are told."""
        height, width = self.picture.shape[:2]
        boxes = [
            FoundObject((round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)), round(box.probability, 4))
            for box in self.boxes
            for x0, y0, x1, y1 in [box.box]
        ]
        return FoundPicture(
            image=self.image,
            count=self.count,
            width=width,
            height=height,
            fit=round(self.fit, 4),
            at_limit=self.at_limit,
            verdict=self.verdict,
            first=self.first,
            probabilities=[round(p, 4) for p in self.probabilities],
            boxes=boxes,
        )

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with the columns of objects.csv and a row for each object; ``ConfigError`` without it.

        Edges are float64 pixels of the picture.
        """
        return dataframes.to_pandas(self.result())

    def to_supervision(self) -> Any:
        """``supervision.Detections`` of the n objects; ``ConfigError`` without supervision.

        xyxy float32 [n, 4] pixels of the picture, confidence float32 [n] the probabilities, class_id int [n] all 0.
        """
        return dataframes.to_supervision(self.result())

    def kept(self, min_score: float = 0.0, exclude_edges: bool = False) -> Found:
        """Without objects less probable than ``min_score`` or, with ``exclude_edges``, cut off by the border.

        The count is then that of the objects kept; ``probabilities`` still speaks of all.
        """
        height, width = self.picture.shape[:2]
        boxes = tuple(
            found
            for found in self.boxes
            if found.probability >= min_score and not (exclude_edges and _cut_off(found.box, width, height))
        )
        return self if len(boxes) == len(self.boxes) else replace(self, boxes=boxes, count=len(boxes))


def find_in_pictures(
    model: AIR, pictures: Iterable[Picture], fitting: Fitting, num_steps: int | None = None, tile: int = TILE,
    refuse: Refuse | None = None,
) -> Iterator[Found]:  # fmt: skip
    """What the model finds in each of ``pictures``.

    Neighbours that are read on the canvas of the training are read in one pass, in which the model proposes
    ``num_steps`` objects for each; larger ones are read whole, in tiles of ``tile`` pixels. ``refuse`` is given the
    error of a picture in which nothing can be looked for; without it, that ``InputFileError`` is raised.
    """
    check_choices(model, fitting, num_steps)
    side = model.config.model.canvas
    seen = []
    for picture in pictures:
        try:
            seen.append((picture, view(model, picture, fitting, num_steps)))
        except InputFileError as error:
            if refuse is None:
                raise
            refuse(error)
    for on_canvas, group in groupby(seen, lambda pair: pair[1].canvas.shape == (side, side)):
        if on_canvas:
            some = list(group)
            step = chunk_of((len(some), side, side))
            for start in range(0, len(some), step):
                yield from _on_canvas(model, some[start : start + step], num_steps)
        else:
            yield from (_whole(model, picture, place, tile) for picture, place in group)


def _on_canvas(model: AIR, seen: Sequence[tuple[Picture, Fitted]], num_steps: int | None) -> Iterator[Found]:
    log_p = model.count(num_steps or model.reading_size)
    canvases = torch.from_numpy(np.stack([place.canvas for _, place in seen])).to(model.device)
    objects, terms = next(passes(model, canvases, log_p, lambda batch: model.mean_noise(batch, len(log_p) - 1)))
    answer = Answer.of(model, objects, terms)
    around, per_pixel = left_over(objects, answer)
    bright = objects.canvas.square().mean((1, 2))
    ink, glimpses = objects.layers.ink_boxes(INK).double(), objects.boxes.double()
    tight = torch.where((ink[..., 2:] > ink[..., :2]).all(-1, keepdim=True), ink, glimpses)
    edges = tight.gather(1, answer.order[..., None].expand(-1, -1, 4)).cpu().numpy()
    counts, drawn = answer.counts.tolist(), answer.drawn.cpu().numpy()
    present, q = answer.present.tolist(), answer.log_count.exp().tolist()
    for i, (picture, place) in enumerate(seen):
        count, left = counts[i], float(per_pixel[i])
        at_limit = count == len(log_p) - 1
        yield Found(
            image=picture.name,
            count=count,
            first=0,
            probabilities=tuple(q[i]),
            boxes=_boxes(place, edges[i, :count], present[i][:count]),
            fit=1 - left / float(bright[i]) if bright[i] > 0 else float(left == 0),
            at_limit=at_limit,
            verdict=verdict(model, around[i, :count].cpu().numpy(), left, at_limit),
            picture=picture.pixels,
            canvas=place.canvas,
            reconstruction=drawn[i],
        )


def _whole(model: AIR, picture: Picture, place: Fitted, tile: int) -> Found:
    canvas = torch.tensor(place.canvas, device=model.device).float().div_(255)
    found = find_in_whole(model, canvas, tile=tile)
    return Found(
        image=picture.name,
        count=found.count,
        first=found.sets.first,
        probabilities=tuple(np.exp(found.sets.log_count).tolist()),
        boxes=_boxes(place, found.boxes, found.present.tolist()),
        fit=found.fit,
        at_limit=found.at_limit,
        verdict=verdict(model, found.around, found.left, found.at_limit),
        picture=picture.pixels,
        canvas=place.canvas,
        reconstruction=found.drawn,
    )


def _boxes(place: Fitted, edges: np.ndarray, present: list[float]) -> tuple[Box, ...]:
    return tuple(
        Box((x0, y0, x1, y1), p) for (x0, y0, x1, y1), p in zip(place.to_picture(edges).tolist(), present, strict=True)
    )


def _cut_off(box: tuple[float, float, float, float], width: int, height: int) -> bool:
    """Whether a box reaches the outermost pixel of the picture."""
    return box[0] < 1 or box[1] < 1 or box[2] > width - 1 or box[3] > height - 1


def cut_out(picture: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of ``picture`` under ``box``, whole pixels, at least one."""
    height, width = picture.shape[:2]
    x0, y0 = min(int(box[0]), width - 1), min(int(box[1]), height - 1)
    x1, y1 = max(x0 + 1, int(np.ceil(box[2]))), max(y0 + 1, int(np.ceil(box[3])))
    return picture[y0:y1, x0:x1]
