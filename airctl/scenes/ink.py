"""How large the objects of composed scenes are: measured when they are composed, so that training needs no boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from airctl.scenes.spec import SceneSplit

MARGIN = 1.35  # of an object with the margin that it needs, over the longer side of its ink: a digit of MNIST's 28 px


def ink_size(split: SceneSplit) -> float | None:
    """The mean longer side in pixels of the ink of the objects of ``split``; None without boxes."""
    there = split.boxes[..., 0] >= 0
    if not there.any():
        return None
    boxes = split.boxes[there].astype(float)
    return float((boxes[:, 2:] - boxes[:, :2]).max(1).mean())


def told_size(attributes: Mapping[str, int | float | str]) -> float | None:
    """The side in pixels of an object with its margin, by what a scene file says; None if it says nothing of it."""
    if "picture_object_size" in attributes:
        return float(attributes["object_size"])
    ink = attributes.get("ink_size")
    return float(np.round(MARGIN * float(ink), 1)) if ink is not None else None


def object_size(attributes: Mapping[str, int | float | str], split: SceneSplit) -> float:
    """The same, for every file; of one that says nothing, which older versions made, from the true boxes of ``split``.

    A quarter of the canvas without any.
    """
    ink = ink_size(split) if (size := told_size(attributes)) is None else None
    size = told_size({"ink_size": ink}) if ink is not None else size
    return size if size is not None else float(split.images.shape[-1] / 4)
