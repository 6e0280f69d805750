"""Counts that a person has made of pictures, and what they say of the scenes that are cut out of these pictures.

The count of a picture is known of a crop in two cases only: where the crop is the whole picture, and where the picture
has no object at all. Of any other crop nobody has counted what is in it, and nothing is said of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from airctl.errors import InputFileError
from airctl.files import is_regular
from airctl.scenes.spec import NO_COUNT

COLUMNS = ("image", "count")  # the first two of what generate-cells, count and infer write too
MAX_BYTES = 2**26


def read_counts(path: Path) -> dict[str, int]:
    """The counts of pictures by their names, from a CSV whose first columns are ``image,count``.

    ``InputFileError`` for what is no such table, a count that is no whole number from 0 to 254, and a name that is
    there twice.
    """
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file; expected a CSV with the columns image,count")
    if path.stat().st_size > MAX_BYTES:
        raise InputFileError(f"{path} is over {MAX_BYTES // 2**20} MiB: expected a CSV with the columns image,count")
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(f"{path} is no CSV ({error}): expected the columns image,count") from error
    if not rows or tuple(cell.strip() for cell in rows[0][:2]) != COLUMNS:
        raise InputFileError(f"{path} does not begin with the row image,count")
    counts: dict[str, int] = {}
    for number, cells in enumerate(rows[1:], 2):
        if not cells:
            continue
        name, text = cells[0], cells[1].strip() if len(cells) > 1 else ""
        if not (text.isascii() and text.isdecimal() and int(text[:9]) < NO_COUNT):
            raise InputFileError(
                f"{path}, row {number}: {name} has the count {text[:40]!r}, expected a whole number from 0 to 254"
            )
        if name in counts:
            raise InputFileError(f"{path}, row {number}: {name} has a count already")
        counts[name] = int(text)
    return counts


def counts_of(pictures: Sequence[str], counts: Mapping[str, int], source: Path) -> list[int | None]:
    """The count of each of ``pictures``, by its path or its file's name; None of those that ``counts`` does not have.

    ``InputFileError`` for a name in ``counts`` that is no picture's, or that of several.
    """
    named: dict[str, set[int]] = {}
    for i, picture in enumerate(pictures):
        for name in (picture, Path(picture).name):
            named.setdefault(name, set()).add(i)
    found: list[int | None] = [None] * len(pictures)
    for name, count in counts.items():
        meant = named.get(name, set())
        if len(meant) != 1:
            several = (
                f"{len(meant)} pictures are called so: name it by its path" if meant else "no picture is called so"
            )
            raise InputFileError(f"{source}: {name} has a count, but {several}")
        (i,) = meant
        if found[i] is not None:
            raise InputFileError(f"{source}: {pictures[i]} has two counts, by its path and by its name")
        found[i] = count
    return found


def crop_counts(counts: Sequence[int | None], whole: Sequence[bool], cut_from: np.ndarray) -> np.ndarray:
    """The counts of crops of the pictures ``cut_from`` [n], uint8 [n]; NO_COUNT where none is known.

    ``counts`` are those of the pictures, and ``whole`` says of which a crop shows everything.
    """
    known = [NO_COUNT if n is None or (n and not all_of_it) else n for n, all_of_it in zip(counts, whole, strict=True)]
    found: np.ndarray = np.array(known, np.uint8)[cut_from]
    return found
