"""How large the objects of composed scenes are: measured when they are composed, so that training needs no boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from airctl.scenes.rows import Array
from airctl.scenes.spec import SceneSplit

MARGIN = 1.35  # of an object with the margin that it needs, over the longer side of its ink: a digit of MNIST's 28 px
_ROWS = 2**16  # scenes whose boxes are looked at at once


class Ink:
    """The mean longer side in pixels of the ink of objects, whose boxes come in blocks."""

    def __init__(self) -> None:
        self._total = self._number = 0

    def add(self, boxes: np.ndarray) -> None:
        """Those of some scenes, int16 [n, M, 4], padded with -1."""
        there = boxes[boxes[..., 0] >= 0].astype(int)
        self._total += int((there[:, 2:] - there[:, :2]).max(1, initial=0).sum())
        self._number += len(there)

    def of_all(self, blocks: Iterable[SceneSplit]) -> Iterator[SceneSplit]:
        """``blocks`` as they are, measured in passing."""
        for block in blocks:
            self.add(block.boxes)
            yield block

    @property
    def size(self) -> float | None:
        """Of all objects so far; None without any."""
        return self._total / self._number if self._number else None


def ink_size(boxes: Array) -> float | None:
    """The mean longer side in pixels of the ink of the objects in ``boxes`` [S, M, 4]; None without any."""
    ink = Ink()
    for start in range(0, len(boxes), _ROWS):
        ink.add(boxes[start : start + _ROWS])
    return ink.size


def told_size(attributes: Mapping[str, int | float | str]) -> float | None:
    """The side in pixels of an object with its margin, by what a scene file says; None if it says nothing of it."""
    if "picture_object_size" in attributes:
        return float(attributes["object_size"])
    ink = attributes.get("ink_size")
    return float(np.round(MARGIN * float(ink), 1)) if ink is not None else None


def object_size(attributes: Mapping[str, int | float | str], boxes: Array, canvas: int) -> float:
    """The same, for every file; of one that says nothing, which older versions made, from its true ``boxes``.

    A quarter of the ``canvas`` without any.
    """
    size = told_size(attributes)
    if size is None and (ink := ink_size(boxes)) is not None:
        size = told_size({"ink_size": ink})
    return size if size is not None else canvas / 4
