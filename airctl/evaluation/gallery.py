"""Which scenes of an evaluation to keep for pictures, and what else the model is asked to draw for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airctl.evaluation.box_accuracy import unpadded
from airctl.evaluation.failures import RIGHT
from airctl.evaluation.samples import SPAN, first_pass, sample_prior, traverse_what
from airctl.inference import Answer, Detections, Images
from airctl.model import AIR
from airctl.results.records import choose, in_turn, png_text, scene_record
from airctl.scenes import KeptScenes

Record = dict[str, Any]
MOST, EACH = 480, 40  # scenes in all, and of one outcome with one pair of counts
SAMPLES, ROWS, COLUMNS = 8, 6, 9


def make_gallery(
    model: AIR, found: Detections, split: KeptScenes, named: Sequence[str], log_p: Tensor, generator: torch.Generator
) -> dict[str, Any]:
    """Scenes of every outcome and every pair of counts that came, glimpses, samples of the prior and a traversal.

    ``found`` and ``named`` are what an evaluation of ``split`` gave; the scenes come from it, nothing is counted again.
    """
    counts = split.counts.tolist()
    kinds = list(zip(named, counts, found.counts.tolist(), strict=True))
    kept = [i for turn, i in in_turn(kinds) if turn < EACH][:MOST]
    scenes = [
        record_of(split.images[i], found, i, counts[i], split.boxes[i]) | {"scene": i, "outcome": named[i]}
        for i in sorted(kept, key=lambda i: named[i] == RIGHT)  # failures first, each kind in its turn
    ]
    return {"scenes": scenes, **_drawn(model, split, log_p, generator)}


def record_of(image: np.ndarray, found: Detections, index: int, true_count: int, true_boxes: np.ndarray) -> Record:
    """Scene ``index`` of ``found`` (image uint8 [D, D], true boxes [M, 4] padded with -1) for its pictures."""
    glimpses = found.glimpses[index, : int(found.counts[index])]
    return scene_record(image, found.drawn[index], true_count, unpadded(true_boxes), glimpses)


def _drawn(model: AIR, split: KeptScenes, log_p: Tensor, generator: torch.Generator) -> dict[str, Any]:
    objects, terms = first_pass(model, Images(split.images, generator.device), log_p)
    answer = Answer.of(model, objects, terms)
    counts, edges = answer.counts.tolist(), objects.boxes.cpu().numpy()
    taken = [order[:n].tolist() for order, n in zip(answer.order, counts, strict=True)]  # objects of each scene
    glimpses = [
        {
            "image": png_text(split.images[i]),
            "side": split.images.shape[-1],
            "boxes": np.round(edges[i, taken[i]].astype(float), 1).tolist(),
            "steps": [
                {"glimpse": png_text(_bytes(objects.glimpses[i, m])), "object": png_text(_bytes(objects.drawn[i, m]))}
                for m in taken[i]
            ],
        }
        for i in [i for i in choose(counts, SAMPLES + 1) if counts[i]][:SAMPLES]
    ]
    z_what = [objects.z_what[i, some] for i, some in enumerate(taken) if some]
    traversal: dict[str, Any] = {"values": np.linspace(-SPAN, SPAN, COLUMNS).tolist(), "rows": []}
    if z_what:
        numbers, varied = traverse_what(model, torch.cat(z_what), ROWS, COLUMNS)
        traversal["rows"] = [
            {"number": number, "objects": [png_text(_bytes(one)) for one in row]}
            for number, row in zip(numbers, varied, strict=True)
        ]
    prior = [[png_text(_bytes(one)) for one in row] for row in sample_prior(model, SAMPLES, generator)]
    return {"glimpses": glimpses, "prior": prior, "traversal": traversal}


def _bytes(image: Tensor) -> np.ndarray:
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
