"""The tables of parts as one: every row once, in the order in which one process would have written them."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from airctl.commands.found_files import TABLES, key, line
from airctl.commands.shares import part_of
from airctl.errors import InputFileError
from airctl.files import atomic_path
from airctl.formats.csv_tables import COUNTS, OBJECTS
from airctl.scenes.own_pictures import is_stack

_IN_FILE = re.compile(r"\[(\d+)\]")


class _Tables:
    """The tables of one part, read row by row: ``head`` is the next row of counts.csv, None at its end."""

    def __init__(self, counts: IO[str], objects: IO[str]) -> None:
        self.counts, self.objects = csv.reader(counts), csv.reader(objects)
        next(self.counts, None), next(self.objects, None)
        self.head = next(self.counts, None)

    def take(self) -> tuple[list[str], list[list[str]]]:
        """The next row, and those of its objects."""
        assert self.head is not None
        row, self.head = self.head, next(self.counts, None)
        objects = list(itertools.islice(self.objects, int(row[1])))
        if len(objects) < int(row[1]) or any(one[0] != row[0] for one in objects):
            raise InputFileError(f"the tables of {row[0]} do not fit together: choose another folder")
        return row, objects


def merge(folders: Sequence[Path], paths: Iterable[Path], out: Path, told: Callable[[list[str]], None]) -> None:
    """Write counts.csv and objects.csv of ``out`` from those of the parts 1, 2... in ``folders``; rows go to ``told``.

    ``paths`` are the files in their order. Nothing but a row of each part is in memory, and both tables are whole
    before they have their names. ``InputFileError`` if there are rows of other files.
    """
    with ExitStack() as stack:
        counts, objects = (
            stack.enter_context(open(stack.enter_context(atomic_path(out / name)), "w", encoding="utf-8", newline="\n"))
            for name in TABLES
        )
        parts = [
            _Tables(*(stack.enter_context(open(folder / name, encoding="utf-8", newline="\n")) for name in TABLES))
            for folder in folders
        ]
        counts.write(line(COUNTS))
        objects.write(line(OBJECTS))
        for path in paths:
            for row, rows in _of_file(parts, path):
                objects.writelines(map(line, rows))
                counts.write(line(row))
                told(row)
        left = next((part.head[0] for part in parts if part.head is not None), None)
        if left is not None:
            raise InputFileError(f"{out} has rows of {left}, which is not where it was: name the same pictures again")


def _of_file(parts: Sequence[_Tables], path: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The rows of one file, of its pages, or of the pictures of a stack, which are in many parts."""
    name, stack, before = key(str(path)), is_stack(path), -1
    while True:
        part = parts[part_of(f"{path}[{before + 1}]" if stack else str(path), len(parts)) - 1]
        place = None if part.head is None else _place(part.head[0], name)
        if place is None or place <= before:  # another file's, or the same one's that is named twice
            return
        before = place
        yield part.take()


def _place(image: str, name: str) -> int | None:
    """Which page or picture of the file ``name`` an image is; None if it is another file's."""
    if image == name:
        return 0
    match = _IN_FILE.fullmatch(image.removeprefix(name))
    return int(match[1]) if match and image.startswith(name) else None
