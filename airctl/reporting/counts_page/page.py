"""counts.html: pictures, boxes and counts in one file, of a size that a browser opens at once."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from airctl.files import write_text
from airctl.reporting.counts_page.compressed import as_image, packed
from airctl.reporting.html_file import html_file, script_json
from airctl.reporting.palette import STEP_COLOURS
from airctl.reporting.words import format_number
from airctl.results.found import AT_LIMIT, FINE, UNLIKE, FoundPicture

WHOLE_BYTES = 29_900_000  # of the page, until which pictures are kept whole: 200 of 1 MP, with 400 objects each
ALL_BYTES = 40_000_000  # of the page, until which pictures are kept at all
MOST_PIXELS, MOST_BYTES = 1_000_000, 76_000  # of a picture kept whole
SMALL_PIXELS, SMALL_BYTES = 360 * 270, 12_000  # of the same picture in the gallery
DRAWN_PIXELS, DRAWN_BYTES = 512 * 512, 12_000  # of its reconstruction

SENTENCES = {
    AT_LIMIT: "There may be more objects than were looked for.",
    UNLIKE: "Unlike the pictures this model has learnt from: do not trust this count.",
}


@dataclass(frozen=True)
class CountsView:
    """What the template says; numbers are text."""

    pictures: str
    objects: str
    range: str  # the fewest and the most objects of a picture
    flagged: str
    left_out: str | None  # a sentence, if anything was


class CountsPage:
    """Collects counted pictures, and writes one HTML file that shows them.

    A picture is kept with at most 1 megapixel and 76 kB, with a smaller one for the gallery and its reconstruction.
    From ``WHOLE_BYTES`` on only the smaller one is kept, from ``ALL_BYTES`` on only the row in the table; the page
    says so. Memory is that of the page, at most, plus a row for each picture.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._rows: list[str] = []
        self._bytes = 0
        self._counts: list[int] = []
        self._flagged = self._whole = self._small = 0
        self._closed = False

    def add(self, found: FoundPicture, picture: np.ndarray, drawn: np.ndarray | None = None) -> None:
        """Add a picture (uint8 [h, w] or [h, w, 3]) with what was found in it, in pixels of that picture.

        ``drawn`` ([h', w'] or [h', w', 3] in [0, 1], of any scale) is the reconstruction of all of the picture.
        ``ValueError`` for another shape or type, or once the page is closed.
        """
        if self._closed:
            raise ValueError("the page is closed: no picture can be added to it")
        image, reconstruction = as_image(picture), None if drawn is None else as_image(drawn)
        row = _row(found)
        seen = row | {"size": [found.width, found.height], "boxes": [[*b.box, b.probability] for b in found.boxes]}
        text = script_json(seen)
        if self._bytes + len(text) + _in_base64(MOST_BYTES + SMALL_BYTES + DRAWN_BYTES) <= WHOLE_BYTES:
            text = script_json(seen | _pictures(image, reconstruction))
            self._whole += 1
        elif self._bytes + len(text) + _in_base64(SMALL_BYTES) <= ALL_BYTES:
            text = script_json(seen | {"small": _small(image)})
            self._small += 1
        else:
            text = script_json(row)
        self._rows.append(text)
        self._bytes += len(text) + 1
        self._counts.append(found.count)
        self._flagged += found.verdict != FINE

    def close(self) -> None:
        """Write the file, all of it or nothing (``StorageError``, ``ConfigError``); a second time does nothing."""
        if self._closed:
            return
        about = script_json({"colours": STEP_COLOURS, "sentences": SENTENCES})
        data = f'{about[:-1]},"pictures":[{",".join(self._rows)}]}}'
        write_text(self._path, html_file("airctl.reporting.counts_page", self._view(), data))
        self._closed = True
        self._rows.clear()

    def _view(self) -> CountsView:
        fewest, most = min(self._counts, default=0), max(self._counts, default=0)
        return CountsView(
            pictures=format_number(len(self._counts)),
            objects=format_number(sum(self._counts)),
            range=format_number(most) if fewest == most else f"{format_number(fewest)} to {format_number(most)}",
            flagged=format_number(self._flagged),
            left_out=self._left_out(),
        )

    def _left_out(self) -> str | None:
        table = len(self._counts) - self._whole - self._small
        parts = [f"{format_number(self._small)} are small and without reconstruction"] if self._small else []
        parts += [f"{format_number(table)} stand in the table only"] if table else []
        if not parts:
            return None
        return f"To keep this file small, not every picture is whole: {', and '.join(parts)}."


def _row(found: FoundPicture) -> dict[str, Any]:
    """What the table says of a picture."""
    return {
        "name": found.image,
        "count": found.count,
        "fit": round(found.fit, 4) if math.isfinite(found.fit) else None,
        "verdict": found.verdict,
        "limit": found.at_limit,
    }


def _pictures(image: Image.Image, drawn: Image.Image | None) -> dict[str, str]:
    """Base64 of ``large``, of ``small`` where that is another picture, and of ``drawn`` if there is one."""
    kept = {"large": _text(packed(image, MOST_PIXELS, MOST_BYTES))}
    if image.width * image.height > SMALL_PIXELS:
        kept["small"] = _small(image)
    if drawn is not None:
        kept["drawn"] = _text(packed(drawn, DRAWN_PIXELS, DRAWN_BYTES))
    return kept


def _small(image: Image.Image) -> str:
    return _text(packed(image, SMALL_PIXELS, SMALL_BYTES))


def _text(file: bytes) -> str:
    return base64.b64encode(file).decode()


def _in_base64(number: int) -> int:
    """How many letters so many bytes have, with the names of up to three pictures around them."""
    return number * 4 // 3 + 64
