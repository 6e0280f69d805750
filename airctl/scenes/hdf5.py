"""Reading strangers' HDF5 files: links, layouts, filters and sizes are checked before a single value is read.

An HDF5 file can name other files (external storage, external links, virtual datasets) and can declare terabytes in a
kilobyte. So each link must be a hard link, each dataset local, in a layout and with filters of a short list, and its
declared size must be one that the file can hold. HDF5's plugins, which are other people's code, are switched off in
``airctl/scenes/__init__.py``, before anything here can import h5py.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from airctl.errors import AirctlError, InputFileError
from airctl.files import is_regular
from airctl.scenes.idx import MAX_BYTES, MAX_DEFLATE_RATIO

MAX_ATTRIBUTE_BYTES = 2**12
_MAX_CHUNK_BYTES = 2**26
_CACHE_BYTES = 2**23  # of unpacked chunks, for each dataset: blocks are smaller than the chunks of numbers are long
_BLOCK_BYTES = 2**22
_PICTURES = "an HDF5 file with a dataset of pictures"
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


class RefusedError(Exception):
    """What is wrong with the open file; becomes an ``InputFileError`` with its path."""


@contextmanager
def opened(path: Path, expected: str) -> Iterator[h5py.File]:
    """The file, open for reading; ``InputFileError`` for what is none. Inside, ``translated`` belongs around reading.

    ``expected`` says in the error what the file should have been.
    """
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file, expected {expected}")
    with translated(path, expected):
        file = h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    with file:
        yield file


@contextmanager
def translated(path: Path, expected: str) -> Iterator[None]:
    """What goes wrong with the open file inside is an ``InputFileError`` of one sentence."""
    try:
        yield
    except AirctlError:
        raise
    except RefusedError as error:
        raise InputFileError(f"{path}: {error}: expected {expected}") from error
    # h5py meets a damaged file with exceptions of every kind, and none of them is the user's to interpret.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputFileError(f"{path}: truncated, damaged or no HDF5 file ({reason})") from error


def child(group: h5py.Group, name: str, kind: type) -> Any:
    """The group or dataset behind a hard link; a soft or external link is refused without being followed."""
    if name not in group.id:
        raise RefusedError(f"has no {group.name.rstrip('/')}/{name}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RefusedError(f"{name} is a link to somewhere else")
    found = group[name]
    if not isinstance(found, kind):
        raise RefusedError(f"{name} is no {kind.__name__.lower()}")
    return found


def read_attribute(group: h5py.Group, name: str, kind: type) -> Any:
    """One scalar attribute of a known kind and a bounded size."""
    if name not in group.attrs:
        raise RefusedError(f"has no attribute {name}")
    stored = group.attrs.get_id(name)
    expected = {"i": int, "u": int, "f": float, "S": str}.get(stored.dtype.kind)
    if stored.shape != () or expected is not kind or stored.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise RefusedError(f"attribute {name} is no plain {kind.__name__}")
    value = group.attrs[name]
    return value.decode("utf-8") if isinstance(value, bytes) else kind(value)


def own_dataset(group: h5py.Group, name: str, layouts: tuple[int, ...]) -> h5py.Dataset:
    """A dataset that lies in this file, in one of these layouts, with filters of the short list; nothing is read."""
    dataset = child(group, name, h5py.Dataset)
    plist = dataset.id.get_create_plist()
    # The layout is asked first: asking a virtual dataset anything else may open its sources.
    if plist.get_layout() not in layouts or dataset.is_virtual or dataset.external is not None:
        raise RefusedError(f"{name} is not stored in chunks of its own file")
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    if not filters <= _FILTERS:
        raise RefusedError(f"{name} uses the filters {sorted(filters)} beyond gzip, shuffle and fletcher32")
    return dataset


def check_chunks(dataset: h5py.Dataset, name: str, most: int, on_disk: int) -> None:
    """Refuse a dataset of more bytes than ``most`` or than a file of ``on_disk`` bytes can hold, or of huge chunks."""
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if size > min(most, on_disk * MAX_DEFLATE_RATIO) or chunk > _MAX_CHUNK_BYTES:
        raise RefusedError(f"{name} declares {size} bytes in chunks of {chunk}, which it cannot hold")
    chunks = math.prod(-(-length // step) for length, step in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() != chunks or dataset.id.get_storage_size() > on_disk:
        raise RefusedError(f"{name} does not hold the {chunks} chunks that it declares")


def half_of_the_memory() -> float:
    """Half of this machine's memory in bytes: a file of sixteen megabytes can hold sixteen gigabytes of zeros."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (AttributeError, ValueError, OSError):  # no such question on this system
        return math.inf


def dataset_blocks(path: Path, names: list[str], most: int) -> Iterator[np.ndarray]:
    """The first of the datasets ``names`` that someone's own HDF5 file holds: numbers, [n, ...] in blocks of rows.

    A dataset of two dimensions comes in one block. ``InputFileError`` for more than ``most`` bytes in all.
    """
    with opened(path, _PICTURES) as file:
        with translated(path, _PICTURES):
            dataset = _own_numbers(file, names, most, path.stat().st_size)
            rows = _rows_at_once(dataset)
        for start in range(0, max(1, len(dataset)), max(1, rows)):
            with translated(path, _PICTURES):
                block: np.ndarray = dataset[start : start + rows]
            yield block


def _own_numbers(file: h5py.File, names: list[str], most: int, on_disk: int) -> h5py.Dataset:
    name = next((name for name in names if name.split("/")[0] in file.id), None)
    if name is None:
        raise RefusedError(f"holds no dataset {' or '.join(names)} (say which dataset to read)")
    group, (*groups, last) = file, name.split("/")
    for part in groups:
        group = child(group, part, h5py.Group)
    dataset = own_dataset(group, last, (h5py.h5d.CHUNKED, h5py.h5d.CONTIGUOUS))
    if dataset.dtype.kind not in "uifb" or not dataset.shape:
        raise RefusedError(f"{name} is {dataset.dtype} and no array of numbers")
    if dataset.chunks is not None:
        check_chunks(dataset, name, most, on_disk)
    elif not dataset.nbytes == dataset.id.get_storage_size() <= min(most, on_disk):
        raise RefusedError(f"{name} declares {dataset.nbytes} bytes, which it does not hold")
    return dataset


def _rows_at_once(dataset: h5py.Dataset) -> int:
    """As many as a block of some megabytes has: of a chunked dataset whole chunks, of one picture all."""
    row = max(1, math.prod(dataset.shape[1:]) * int(dataset.dtype.itemsize))
    rows = int(len(dataset) if dataset.ndim < 3 else 1 if dataset.chunks is None else dataset.chunks[0])
    if rows * row > min(MAX_BYTES, half_of_the_memory()):
        raise RefusedError(
            f"{dataset.name} has {rows * row} bytes in a picture or a row of chunks, expected at most {MAX_BYTES} and "
            "half of this machine's memory"
        )
    return int(max(1, rows) * max(1, _BLOCK_BYTES // max(1, rows * row)))
