"""What ``airctl generate-data`` and ``airctl generate-cells`` made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Sha256


@dataclass(frozen=True)
class DigitSource:
    """Where the objects of the scenes come from."""

    source: Annotated[str, Is("mnist, mnist-5k, font, blobs, or the name of a file or folder")]
    sha256: Annotated[Sha256, Is("of the arrays of digits and labels")]


@dataclass(frozen=True)
class GeneratedSplit:
    """One split of the file."""

    scenes: Annotated[int, Is("how many", "scenes")]
    counts: Annotated[list[int], Is("scenes with 0, 1, ... objects", "scenes")]


@dataclass(frozen=True)
class Generated:
    """A scene file that was made."""

    path: Annotated[str, Is("the file")]
    sha256: Annotated[Sha256, Is("of the file")]
    digits: Annotated[DigitSource, Is("where the objects come from")]
    preset: Annotated[str, Is("the recipe of the scenes")]
    seed: Annotated[int, Is("of the scenes")]
    object_size: Annotated[float | None, Is("side of an object with its margin; null without objects", "pixels")]
    train: Annotated[GeneratedSplit, Is("the train split")]
    test: Annotated[GeneratedSplit, Is("the test split")]


@dataclass(frozen=True)
class GeneratedCells:
    """A folder of pictures of cells that was made."""

    path: Annotated[str, Is("the folder")]
    pictures: Annotated[int, Is("how many", "pictures")]
    cells: Annotated[int, Is("in all of them", "cells")]
    counts: Annotated[list[int], Is("of each picture, in the order of their names", "cells")]
    dark: Annotated[int, Is("whose cells are dark on bright", "pictures")]
    seed: Annotated[int, Is("of the pictures")]
