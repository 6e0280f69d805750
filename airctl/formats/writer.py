"""What all formats share: a writer that is given picture after picture, names of files, boxes cut to a picture."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from airctl.errors import ConfigError
from airctl.files import append, storage_errors, sync, write_text
from airctl.formats.rows import row
from airctl.results.found import FoundPicture
from airctl.results.units import Edges

FORMATS_EXTRA = "pip install 'airctl[formats]'"  # the remedy where setup.cfg has an extra
CATEGORY = "object"  # the one class: airctl finds objects without knowing what they are


class Writer(ABC):
    """Writes pictures into the files of one format in ``folder``, one after the other; the memory needed is constant.

    A ``with`` statement closes it. Each format wants a folder of its own, in which it replaces files of the same names.
    Writing raises ``StorageError`` for a full or failing disk and ``ConfigError`` for a place where one cannot write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def add(self, found: FoundPicture) -> None:
        """Write what was found in one picture, which may be nothing."""

    @abstractmethod
    def close(self) -> None:
        """End the files and have them on the disk; nothing can be added after it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PerPicture(Writer):
    """A format with one file for each picture; ``names.csv`` says which picture (image) a file (name) is of."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pictures = 0
        write_text(folder / "names.csv", row("name", "image"))

    def add(self, found: FoundPicture) -> None:
        """Write the picture's file, then its row of names.csv: what has a row is whole."""
        self.pictures += 1
        name = file_name(self.pictures, found.image)
        self.write(name, found)
        append(self.folder / "names.csv", row(name, found.image))

    def close(self) -> None:
        """Have names.csv on the disk; the pictures' files are there already."""
        with storage_errors(self.folder / "names.csv"):
            sync(self.folder / "names.csv")

    @abstractmethod
    def write(self, name: str, found: FoundPicture) -> None:
        """Write the file of one picture under ``name`` and the format's own suffix."""


def file_name(number: int, image: str) -> str:
    """NNNN_stem: the picture's place, from 1, and what is harmless of its name.

    The number keeps apart a/x.png, b/x.png and the pictures of a stack, x.tif[3].
    """
    return f"{number:04d}_{re.sub(r'[^A-Za-z0-9._-]+', '_', Path(image).stem)[:80]}"


def clipped(box: Edges, found: FoundPicture) -> Edges:
    """The part of a box that is inside the picture, in pixels; without area, on the border, if there is none."""
    x0, y0, x1, y1 = box
    width, height = float(found.width), float(found.height)
    return min(max(x0, 0.0), width), min(max(y0, 0.0), height), min(max(x1, 0.0), width), min(max(y1, 0.0), height)


def library(name: str, remedy: str) -> ModuleType:
    """A library that airctl needs only for this, imported now; ``ConfigError`` with the ``remedy`` if it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"this needs the package {name}, which cannot be imported ({error}): {remedy}") from error
