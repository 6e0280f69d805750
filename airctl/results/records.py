"""A scene and what was found in it as a small JSON object, so that pictures can be drawn without model and data."""

from __future__ import annotations

import base64
import binascii
import io
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from airctl.errors import InputFileError

LARGEST = 100  # pixels a side; larger scenes are made smaller before they are kept
WATCHED = 8  # scenes in a row of Figure 1


def in_turn(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """(turn, index) of all ``keys``, sorted: the first of every key, then the second of every key, and so on."""
    turns: Counter[Hashable] = Counter()
    order = []
    for index, key in enumerate(keys):
        order.append((turns[key], index))
        turns[key] += 1
    return sorted(order)


def choose(counts: Sequence[int], most: int = WATCHED) -> list[int]:
    """``most`` scenes of those with ``counts`` [S]: each count takes its turn, but one scene at most is empty."""
    return [index for turn, index in in_turn(counts) if counts[index] or not turn][:most]


def scene_record(
    image: np.ndarray,
    drawn: np.ndarray,
    true_count: int,
    true_boxes: np.ndarray,
    glimpses: np.ndarray,
) -> dict[str, Any]:
    """A scene (uint8 [D, D]), what was ``drawn`` of it (the same), its true boxes [m, 4] and the glimpses taken [n, 4].

    Counts, boxes in pixels of the canvas, in step order the glimpses taken, and two PNGs in base64.
    """
    return {
        "true": int(true_count),
        "found": len(glimpses),
        "side": image.shape[-1],
        "boxes": np.round(glimpses.astype(float), 1).tolist(),
        "true_boxes": true_boxes.tolist(),
        "image": png_text(image),
        "drawn": png_text(drawn),
    }


def png_text(image: np.ndarray) -> str:
    """A grey picture (uint8 [H, W]) as the base64 of a PNG."""
    picture = Image.fromarray(image)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def pixels(png: str) -> np.ndarray:
    """The picture in a ``png_text``, float [H, W] in [0, 1]; ``InputFileError`` for text that holds none."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(png)), formats=["PNG"]) as picture:
            return np.asarray(picture.convert("L"), float) / 255
    except (binascii.Error, OSError, ValueError, SyntaxError) as error:
        raise InputFileError(
            f"a picture in the results is no PNG in base64 ({error}): run airctl eval again"
        ) from error
