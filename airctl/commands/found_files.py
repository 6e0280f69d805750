"""What is found in pictures as files: annotated pictures, a page, tables, and the formats of other tools."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from airctl.errors import ConfigError, InputFileError
from airctl.files import atomic_path, is_regular, sha256_of, storage_errors, write_text
from airctl.formats import FORMATS
from airctl.formats.csv_tables import COUNTS, OBJECTS, CsvTables
from airctl.formats.rows import row
from airctl.formats.writer import Writer, file_name
from airctl.inference import Found
from airctl.reporting.annotate import annotated, side_by_side
from airctl.reporting.counts_page import CountsPage
from airctl.results.as_json import sealed, to_json
from airctl.results.found import FoundOrigin

PAGE = "counts.html"
TABLES = ("counts.csv", "objects.csv")
ORIGIN = "origin.json"


class FoundFiles:
    """Writes picture after picture into the folder ``out``; memory does not grow with their number.

    Each of ``formats`` gets a folder of its name, but CSV, whose tables lie in ``out`` itself. With ``pictures`` each
    picture with its boxes and what the model read beside what it drew is there too, and a page that shows them all;
    with ``crops`` every object cut out. Once all is written, origin.json says by which model: the ``origin``.
    """

    def __init__(
        self, out: Path, formats: Sequence[str] = ("csv",), *, pictures: bool = True, crops: bool = False,
        resume: bool = False, origin: FoundOrigin | None = None,
    ) -> None:  # fmt: skip
        unknown = [name for name in formats if name not in FORMATS]
        if unknown:
            raise ConfigError(f"format={unknown[0]}: expected some of {', '.join(FORMATS)}", "format")
        if resume and list(formats) != ["csv"]:
            raise ConfigError("only CSV tables can be gone on with: ask for csv alone", "resume")
        self.out, self.pictures, self.crops, self.number, self.origin = out, pictures, crops, 0, origin
        with storage_errors(out / ORIGIN):
            (out / ORIGIN).unlink(missing_ok=True)  # until all is written it would be that of other files
        self.closing = ExitStack()
        self.writers: list[Writer] = [
            self.closing.enter_context(CsvTables(out, resume) if name == "csv" else FORMATS[name](out / name))
            for name in dict.fromkeys(formats)
        ]
        self.page = self.closing.enter_context(closing(CountsPage(out / PAGE))) if pictures else None

    def add(self, found: Found) -> None:
        """Write what was found in one picture."""
        self.number += 1
        told = found.result()
        if self.pictures:
            self._draw(found)
        if self.page is not None:
            self.page.add(told, found.picture, found.reconstruction)
        for writer in self.writers:
            writer.add(told)

    def _draw(self, found: Found) -> None:
        """NNNN_name.png with the boxes, _model.png with canvas and drawing, _1.png, _2.png... with the objects."""
        name = file_name(self.number, found.image)
        pictures = {"": annotated(found.picture, [b.box for b in found.boxes], [b.probability for b in found.boxes])}
        pictures["_model"] = side_by_side(found.canvas, found.reconstruction)
        if self.crops:
            pictures |= {f"_{i}": cut for i, cut in enumerate(map(Image.fromarray, found.crops()), 1)}
        for suffix, picture in pictures.items():
            with atomic_path(self.out / f"{name}{suffix}.png") as part:
                picture.save(part, format="PNG")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.__exit__(kind, error, trace)
        if kind is None and self.origin is not None:
            files = {name: sha256_of(self.out / name) for name in (*TABLES, PAGE) if is_regular(self.out / name)}
            told = json.dumps(sealed(to_json(replace(self.origin, files=files))), indent=1)
            write_text(self.out / ORIGIN, told + "\n")


def check_folder(out: Path, force: bool) -> None:
    """Refuse a folder that holds something, unless with ``force``; ``ConfigError``."""
    if out.is_file():
        raise ConfigError(f"{out} is a file: expected the name of a folder", "out")
    if not force and out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is there already: say force=True to write into it, or choose another folder", "force")


def mended(out: Path) -> set[str]:
    """The images in the tables of a run that was killed, as ``key`` writes them; what is not whole is taken out.

    An image is whole that has a count and as many objects. What comes after the last line end is half written.
    """
    paths = [out / name for name in TABLES]
    counts, objects = _whole_rows(paths[0], COUNTS), _whole_rows(paths[1], OBJECTS)
    wanted: Counter[str] = Counter()
    for image, count, *_ in counts:
        wanted[image] += int(count)
    there = Counter(image for image, *_ in objects)
    done = {image for image, number in wanted.items() if there[image] == number}
    for path, columns, rows in zip(paths, (COUNTS, OBJECTS), (counts, objects), strict=True):
        if path.is_file():
            write_text(path, "".join(map(line, [columns, *(cells for cells in rows if cells[0] in done)])))
    return done


def key(image: str) -> str:
    """The name of an image as it is read back from a table."""
    return next(csv.reader([row(image)]))[0]


def _whole_rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """The rows of a table without its header and without one that was cut off."""
    if not path.is_file():
        return []
    header = row(*columns).encode()
    try:
        content = path.read_bytes()
        text = content[: content.rfind(b"\n") + 1].decode("utf-8")
        rows = list(csv.reader(io.StringIO(text, newline="\n")))  # names may hold what str.splitlines splits at
    except (OSError, ValueError, csv.Error) as error:
        raise InputFileError(f"{path} cannot be read as a table ({error}): choose another folder") from error
    whole = [cells for cells in rows[1:] if len(cells) == len(columns)]
    known = content.startswith(header) or header.startswith(content)
    if not known or not all(cells[1].isdecimal() and cells[1].isascii() for cells in whole):
        raise InputFileError(f"{path} is no table that airctl has written: choose another folder")
    return whole


def line(cells: Sequence[str]) -> str:
    """A row that was read, as it was written."""
    return ",".join(map(_quoted, cells)) + "\n"


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell
