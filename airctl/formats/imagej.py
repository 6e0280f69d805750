"""ImageJ: a zip of ROIs for each picture, which ImageJ and Fiji open in their ROI Manager."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

from airctl.files import atomic_path
from airctl.formats.writer import FORMATS_EXTRA, PerPicture, library
from airctl.results.found import FoundObject, FoundPicture

_VERSION = 227  # of the format: the first with what is written here has 223


class ImageJ(PerPicture):
    """NAME.zip: for each object the oval in its box, with parts of a pixel, called 0001, 0002...

    The ROI's property ``probability`` is the object's. A picture without objects has a zip without entries.
    ``ConfigError`` without roifile.
    """

    def __init__(self, folder: Path) -> None:
        self._roifile = library("roifile", FORMATS_EXTRA)
        super().__init__(folder)

    def write(self, name: str, found: FoundPicture) -> None:
        """Write NAME.zip."""
        with atomic_path(self.folder / f"{name}.zip") as part, zipfile.ZipFile(part, "x") as archive:
            for i, thing in enumerate(found.boxes, 1):
                entry = zipfile.ZipInfo(f"{i:04d}.roi")  # no time of day: the same objects, the same bytes
                archive.writestr(entry, self._oval(f"{i:04d}", thing), zipfile.ZIP_DEFLATED)

    def _oval(self, name: str, thing: FoundObject) -> bytes:
        x0, y0, x1, y1 = thing.box
        oval: bytes = self._roifile.ImagejRoi(
            version=_VERSION,
            roitype=self._roifile.ROI_TYPE.OVAL,
            options=self._roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
            name=name,
            props=f"probability: {thing.probability}\n",
            left=math.floor(x0),
            top=math.floor(y0),
            right=math.ceil(x1),
            bottom=math.ceil(y1),
            xd=x0,
            yd=y0,
            widthd=x1 - x0,
            heightd=y1 - y0,
        ).tobytes()
        return oval
