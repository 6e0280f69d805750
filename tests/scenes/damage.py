"""Changes to a scene file, each a function of its train group and a folder, and the error that reading it has to be."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from airctl.errors import InputFileError
from airctl.scenes import read_split

Change = Callable[[h5py.Group, Path], None]

IMAGES = np.zeros((20, 50, 50), np.uint8)  # of the shape that the fixture ``scene_file`` has
CHUNKS = {"chunks": (20, 50, 50)}


def refused(path: Path, message: str = "h5") -> None:
    """Reading ``path`` is an InputFileError of one sentence with its name in it."""
    with pytest.raises(InputFileError, match=message) as caught:
        read_split(path, "train")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def swap(group: h5py.Group, name: str, **options: object) -> None:
    """Put another dataset in the place of ``name``."""
    del group[name]
    group.create_dataset(name, **options)


def dataset(name: str, **options: object) -> Change:
    return lambda group, folder: swap(group, name, **options)


def attribute(name: str, value: object) -> Change:
    def put(group: h5py.Group, folder: Path) -> None:
        group.file.attrs[name] = value

    return put


def refused_after(change: Change, message: str, scene_file: Path) -> None:
    """The file, good before, is refused with ``message`` after the change."""
    read_split(scene_file, "train")
    with h5py.File(scene_file, "r+") as file:
        change(file["train"], scene_file.parent)
    refused(scene_file, message)
