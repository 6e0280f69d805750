"""Make pictures of cells with known counts and boxes: ``airctl generate-cells``."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from airctl.errors import ConfigError
from airctl.files import storage_errors, write_bytes, write_text
from airctl.results.generated import GeneratedCells
from airctl.scenes import cells as drawing

DARK = {"none": 0.0, "some": 0.5, "all": 1.0}  # share of the pictures that are dark on bright
BITS = (8, 16)
COUNTS, BOXES = "counts.csv", "boxes.csv"
_MOST_PICTURES = 100_000
_NAME = re.compile(r"cells-\d{3,}\.png")


@dataclass(frozen=True)
class _Drawn:
    """What is drawn on one picture."""

    name: str
    number: int
    dark: bool
    seed: int


def parse_cells(text: str) -> tuple[int, int]:
    """Fewest and most cells from ``40..300`` or ``150``; ``ConfigError`` for anything else."""
    found = re.fullmatch(r"(\d{1,9})(?:\.\.(\d{1,9}))?", text.strip(), re.ASCII)
    if found is None:
        raise ConfigError(f"cells={text}: expected something like 150 or 40..300", "cells")
    return int(found[1]), int(found[2] or found[1])


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from ``600x400``; ``ConfigError`` for anything else."""
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.strip(), re.ASCII)
    if found is None:
        raise ConfigError(f"size={text}: expected WIDTHxHEIGHT, such as 600x400", "size")
    return int(found[1]), int(found[2])


def generate_cells(
    out: Path | str,
    *,
    pictures: int = 12,
    cells: tuple[int, int] = (40, 300),
    size: tuple[int, int] = (600, 400),
    diameter: float = 20,
    touch: float = 0.85,
    noise: float = 0.05,
    dark: str = "some",
    bits: int = 8,
    seed: int = 0,
    force: bool = False,
    progress_bar: bool = False,
) -> GeneratedCells:
    """Write pictures that look like cells under a microscope into the folder ``out``, with counts.csv and boxes.csv.

    Each of the ``pictures``, cells-000.png and so on, is ``size`` (width, height) pixels large and has from
    ``cells[0]`` to ``cells[1]`` cells, uniformly. ``diameter`` (pixels), ``touch`` and ``noise`` are those of
    ``airctl.scenes.cells``. ``dark`` is none, some or all: whether cells are dark on bright. The first pictures of a
    seed are the same however many there are. counts.csv has the columns image, count; boxes.csv image, x0, y0, x1, y1
    in pixels, a row a cell. Both are written last.

    Raises ``ConfigError`` for what cannot be meant, if the cells of a picture do not fit, and if ``out`` holds anything
    and ``force`` is not given. ``force`` replaces the pictures of cells and the tables that are there, nothing else.
    """
    out = Path(out)
    _check(pictures, cells, dark, bits, seed)
    _check_folder(out, force)
    width, height = size
    work = _plan(pictures, cells, DARK[dark], seed)
    for one in work:  # before any file is touched
        drawing.check_room(one.number, height, width, diameter, one.seed, touch=touch)
    boxes = ["image,x0,y0,x1,y1"]
    for i, one in enumerate(tqdm(work, unit="picture", disable=not progress_bar, file=sys.stderr)):
        picture = drawing.cells(one.number, height, width, diameter, one.seed, touch=touch, noise=noise, dark=one.dark)
        if i == 0:
            _remove(out, [COUNTS, BOXES, *_pictures_in(out)])
        write_bytes(out / one.name, _png(picture, bits))
        boxes += [f"{one.name},{x0:.1f},{y0:.1f},{x1:.1f},{y1:.1f}" for x0, y0, x1, y1 in picture.boxes]
    write_text(out / BOXES, _lines(boxes))
    write_text(out / COUNTS, _lines(["image,count", *(f"{one.name},{one.number}" for one in work)]))
    counts = [one.number for one in work]
    return GeneratedCells(str(out), pictures, sum(counts), counts, sum(one.dark for one in work), seed)


def _check(pictures: int, cells: tuple[int, int], dark: str, bits: int, seed: int) -> None:
    if not 1 <= pictures <= _MOST_PICTURES:
        raise ConfigError(f"pictures={pictures}: expected 1 to {_MOST_PICTURES}", "pictures")
    if not 0 <= cells[0] <= cells[1]:
        raise ConfigError(f"cells={cells[0]}..{cells[1]}: expected the fewest first, 0 or more", "cells")
    if dark not in DARK:
        raise ConfigError(f"dark={dark}: expected {', '.join(DARK)}", "dark")
    if bits not in BITS:
        raise ConfigError(f"bits={bits}: expected 8 or 16", "bits")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}: expected 0 to {2**32 - 1}", "seed")


def _check_folder(out: Path, force: bool) -> None:
    with storage_errors(out):
        if not out.is_dir():
            if os.path.lexists(out):
                raise ConfigError(f"{out} is no folder: choose another name")
        elif any(out.iterdir()) and not force:
            raise ConfigError(
                f"{out} is not empty: say force=True to replace the pictures of cells in it, or choose another folder",
                "force",
            )


def _plan(pictures: int, cells: tuple[int, int], dark: float, seed: int) -> list[_Drawn]:
    """What is on each picture; every picture takes as many random numbers."""
    rng = np.random.RandomState(seed)
    digits = max(3, len(str(pictures - 1)))
    return [
        _Drawn(
            name=f"cells-{i:0{digits}d}.png",
            number=int(rng.randint(cells[0], cells[1] + 1)),
            dark=bool(rng.rand() < dark),
            seed=int(rng.randint(2**31)),
        )
        for i in range(pictures)
    ]


def _pictures_in(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if _NAME.fullmatch(path.name)] if out.is_dir() else []


def _remove(out: Path, names: Iterable[str]) -> None:
    with storage_errors(out):
        for name in names:
            (out / name).unlink(missing_ok=True)


def _png(picture: drawing.CellPicture, bits: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture.quantised(bits)).save(stream, format="PNG")
    return stream.getvalue()


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
