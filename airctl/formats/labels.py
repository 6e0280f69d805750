"""Label masks: a TIFF for each picture whose pixels hold the number of their object, for napari and CellProfiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from airctl.files import atomic_path
from airctl.formats.writer import FORMATS_EXTRA, PerPicture, clipped, library
from airctl.results.found import FoundPicture
from airctl.results.units import Edges

_MOST_16 = 2**16 - 1


class Labels(PerPicture):
    """NAME.tif: uint16 [height, width], uint32 if there are more than 65 535 objects; ``ConfigError`` without tifffile.

    An object's region is the ellipse inscribed in its box, as its outline is not known.
    """

    def __init__(self, folder: Path) -> None:
        self._tifffile = library("tifffile", FORMATS_EXTRA)
        super().__init__(folder)

    def write(self, name: str, found: FoundPicture) -> None:
        """Write NAME.tif."""
        with atomic_path(self.folder / f"{name}.tif") as part:
            self._tifffile.imwrite(part, label_mask(found), compression="zlib", photometric="minisblack")


def label_mask(found: FoundPicture) -> np.ndarray:
    """The number of each pixel's object, 1, 2... in the order of ``boxes``, and 0 for background: [height, width].

    A pixel is an object's if its centre is in the ellipse inscribed in the object's box. An ellipse without a pixel
    gets the one nearest to its middle. Where ellipses overlap, the smaller one is in front; of two alike, the later: an
    object that others hide wholly has no pixel.
    """
    labels = np.zeros((found.height, found.width), np.uint16 if len(found.boxes) <= _MOST_16 else np.uint32)
    boxes = [thing.box for thing in found.boxes]
    for i in sorted(range(len(boxes)), key=lambda i: -_area(boxes[i])):
        x0, y0, x1, y1 = clipped(boxes[i], found)
        left, top, right, bottom = int(x0), int(y0), int(np.ceil(x1)), int(np.ceil(y1))
        inside = _ellipse(boxes[i], left, top, right, bottom)
        if inside.any():
            labels[top:bottom, left:right][inside] = i + 1
        else:
            x, y = min(int((x0 + x1) / 2), found.width - 1), min(int((y0 + y1) / 2), found.height - 1)
            labels[y, x] = i + 1
    return labels


def _area(box: Edges) -> float:
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)


def _ellipse(box: Edges, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """Which pixels of a window have their centre in the ellipse: bool [bottom - top, right - left]."""
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        return np.zeros((bottom - top, right - left), bool)
    x = (2 * np.arange(left, right) + 1 - x0 - x1) / (x1 - x0)  # -1 to 1 over the box
    y = (2 * np.arange(top, bottom) + 1 - y0 - y1) / (y1 - y0)
    inside: np.ndarray = x**2 + y[:, None] ** 2 <= 1
    return inside
