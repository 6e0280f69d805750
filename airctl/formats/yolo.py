"""YOLO: a text file for each picture with a row for each object, and classes.txt, as trainers and labellers read it."""

from __future__ import annotations

from pathlib import Path

from airctl.files import write_text
from airctl.formats.writer import CATEGORY, PerPicture, clipped
from airctl.results.found import FoundPicture


class Yolo(PerPicture):
    """Rows "0 x y w h": class, centre and sides of the box inside the picture, each a share of the picture's side.

    Readers refuse shares outside 0 to 1, so what lies outside the picture is cut off. A picture without objects has
    an empty file, which trainers take for a picture of background.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_text(folder / "classes.txt", f"{CATEGORY}\n")

    def write(self, name: str, found: FoundPicture) -> None:
        """Write NAME.txt."""
        rows = []
        for thing in found.boxes:
            x0, y0, x1, y1 = clipped(thing.box, found)
            x, w = (x0 + x1) / 2 / found.width, (x1 - x0) / found.width
            y, h = (y0 + y1) / 2 / found.height, (y1 - y0) / found.height
            rows.append(f"0 {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n")
        write_text(self.folder / f"{name}.txt", "".join(rows))
