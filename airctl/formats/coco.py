"""COCO: annotations.json with all pictures and objects, as pycocotools and most trainers of detectors read it."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from airctl.files import atomic_path, storage_errors
from airctl.formats.writer import CATEGORY, Writer, clipped
from airctl.results.found import FoundObject, FoundPicture


class Coco(Writer):
    """One category, ids from 1, and for each object bbox [x, y, width, height], area and score.

    bbox is the part of the box inside the picture, as readers expect, area that of bbox, in pixels; score is the
    object's probability. There is no outline, so segmentation is empty. The file appears when the writer is closed,
    and not at all if the ``with`` statement ends with an error: a part of the pictures would look like all of them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "annotations.json"
        self.pictures = self.objects = 0
        with ExitStack() as opening:  # if one of them fails, those before it are undone
            part = opening.enter_context(atomic_path(self.path))
            # The list of images waits in a second file, as JSON has one list after the other.
            self._images = opening.enter_context(tempfile.TemporaryFile("w+", encoding="ascii", dir=folder))
            self._file = opening.enter_context(open(part, "x", encoding="ascii"))
            categories = json.dumps([{"id": 1, "name": CATEGORY, "supercategory": ""}])
            self._file.write(f'{{"info": {{}}, "licenses": [], "categories": {categories},\n"annotations": [')
            self._open = opening.pop_all()

    def add(self, found: FoundPicture) -> None:
        """Write one picture and its objects."""
        self.pictures += 1
        image = {"id": self.pictures, "file_name": found.image, "width": found.width, "height": found.height}
        with storage_errors(self.path):
            self._images.write(_item(self.pictures, image))
            for thing in found.boxes:
                self.objects += 1
                self._file.write(_item(self.objects, self._annotation(thing, found)))

    def _annotation(self, thing: FoundObject, found: FoundPicture) -> dict[str, Any]:
        x0, y0, x1, y1 = clipped(thing.box, found)
        return {
            "id": self.objects,
            "image_id": self.pictures,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "segmentation": [],
            "iscrowd": 0,
            "score": thing.probability,
        }

    def close(self) -> None:
        """Put the images behind the annotations, and the file in its place."""
        with self._open:
            self._file.write('],\n"images": [')
            self._images.seek(0)
            while piece := self._images.read(1 << 20):
                self._file.write(piece)
            self._file.write("]}\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._open.__exit__(kind, error, trace)


def _item(number: int, value: object) -> str:
    return ("\n" if number == 1 else ",\n") + json.dumps(value)
