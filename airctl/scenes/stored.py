"""The scenes of a file, read a block at a time and as from a stranger: every value is checked before it counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import h5py
import numpy as np

from airctl.errors import ConfigError, InputFileError
from airctl.scenes.digest import ArraysDigest
from airctl.scenes.hdf5 import (
    RefusedError,
    check_chunks,
    child,
    half_of_the_memory,
    opened,
    own_dataset,
    read_attribute,
    translated,
)
from airctl.scenes.rows import IN_MEMORY, Rows, scratch_folder
from airctl.scenes.spec import BLOCK_BYTES, MAX_IMAGE_BYTES, NO_COUNT, NO_LABEL, SceneSplit
from airctl.scenes.store import EXPECTED, IMPORTED, SPLITS, attributes_of
from airctl.scenes.writing import Attribute

_BLOCK_BYTES = 2**22  # of images, read at once: some chunks of a file
_MOST_BLOCK_BYTES = 2**26  # of images that one row of a stranger's chunks may hold
_DTYPES = {
    "images": np.uint8,
    "counts": np.uint8,
    "labels": np.uint8,
    "boxes": np.int16,
    "scales": np.float32,
    "digit_index": np.int32,
}


@dataclass(frozen=True)
class StoredSplit:
    """The scenes of one split of an open file: links, types and sizes are checked, values are still to be read."""

    path: Path
    split: str
    attributes: Mapping[str, Attribute]
    sha256: str  # that they ought to have
    datasets: Mapping[str, h5py.Dataset]

    def __len__(self) -> int:
        return int(self.attributes[self.split])

    @property
    def canvas(self) -> int:
        """Pixels a side."""
        return int(self.attributes["canvas"])

    @property
    def _imported(self) -> bool:
        """Whether nothing but the images, and some counts, is known."""
        return self.attributes["preset"] == IMPORTED

    def blocks(self) -> Iterator[SceneSplit]:
        """All scenes in turn, some megabytes at a time; ``InputFileError`` for values that are not as they ought to be.

        That the scenes are those of their sha256 is known only after the last block.
        """
        images, others = self.datasets["images"], {k: v for k, v in self.datasets.items() if k != "images"}
        digest = ArraysDigest()
        digest.begin(images.dtype, images.shape)
        for block in self._blocks():
            digest.add(block.images)
            if not self._imported:
                self._check_values(block)
            yield block
        with translated(self.path, EXPECTED):
            for dataset in others.values():
                rows = dataset.chunks[0] * max(1, BLOCK_BYTES // _chunk_bytes(dataset))
                parts = (dataset[start : start + rows] for start in range(0, len(dataset), rows))
                digest.add_all(dataset.dtype, dataset.shape, parts)
            if digest.hexdigest() != self.sha256:
                raise RefusedError(f"the {self.split} scenes differ from their sha256")

    def _blocks(self) -> Iterator[SceneSplit]:
        """Whole chunks of images, so that each of them is unpacked once."""
        images = self.datasets["images"]
        row = images.chunks[0] * self.canvas**2
        rows = images.chunks[0] * max(1, _BLOCK_BYTES // row)
        for start in range(0, len(self), rows):
            with translated(self.path, EXPECTED):
                values = {name: dataset[start : start + rows] for name, dataset in self.datasets.items()}
            yield replace(SceneSplit.uncounted(values["images"]), **values) if self._imported else SceneSplit(**values)

    def _check_values(self, scenes: SceneSplit) -> None:
        with translated(self.path, EXPECTED):
            _check_values(scenes, int(self.attributes.get("min_digits", 0)), int(self.attributes["max_digits"]))


@contextmanager
def open_split(path: Path, split: str) -> Iterator[StoredSplit]:
    """The scenes of ``train`` or ``test``; any failure is an ``InputFileError`` naming the file."""
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}: expected one of {', '.join(SPLITS)}")
    with opened(path, EXPECTED) as file:
        with translated(path, EXPECTED):
            stored = _stored(path, file, split)
        yield stored


def _stored(path: Path, file: h5py.File, split: str) -> StoredSplit:
    attributes = attributes_of(file)
    if attributes[split] == 0:
        raise InputFileError(f"{path}: was made without {split} scenes, expected some")
    group = child(file, split, h5py.Group)
    sha256 = read_attribute(group, "sha256", str)
    names = [field.name for field in fields(SceneSplit)]
    if attributes["preset"] == IMPORTED:
        names = ["images", *["counts"] * ("counts" in group.id)]
    datasets = {name: _dataset(group, name) for name in names}
    _check_shapes(datasets, attributes, split, path.stat().st_size)
    return StoredSplit(path, split, attributes, sha256, datasets)


# --- in memory, or where they can be had one by one ------------------------------------------------------------------


def read_split(path: Path, split: str) -> SceneSplit:
    """All scenes of ``train`` or ``test`` in memory; ``InputFileError`` for more than half of it as well."""
    with open_split(path, split) as stored:
        for name, dataset in stored.datasets.items():
            size = math.prod(dataset.shape) * dataset.dtype.itemsize
            if size > half_of_the_memory():
                raise InputFileError(
                    f"{path}: {split}/{name} is {size} bytes large, more than half of this machine's memory: "
                    "read it in blocks"
                )
        first = next(blocks := stored.blocks())
        shapes = {field.name: (len(stored), *getattr(first, field.name).shape[1:]) for field in fields(SceneSplit)}
        try:
            whole = {name: np.empty(shape, getattr(first, name).dtype) for name, shape in shapes.items()}
        except MemoryError as error:  # of a process that may have less than half of the machine's
            raise InputFileError(f"{path}: {split} does not fit into the memory: read it in blocks") from error
        start = 0
        for block in _with(first, blocks):
            for name, values in whole.items():
                values[start : start + len(block.counts)] = getattr(block, name)
            start += len(block.counts)
        return SceneSplit(**whole)


@dataclass(frozen=True)
class KeptScenes:
    """Scenes that have been checked, to be had in any order; a lot of them lie on the disk."""

    images: Rows  # uint8 [n, H, W]
    counts: np.ndarray  # uint8 [n]; NO_COUNT where it is unknown
    boxes: Rows  # int16 [n, M, 4]: x0, y0, x1, y1 in pixels, x1 and y1 exclusive, padded with -1

    @property
    def counted(self) -> np.ndarray:
        """Of which scenes the true count is known, bool [n]."""
        known: np.ndarray = self.counts != NO_COUNT
        return known


def keep_split(path: Path, split: str, most: int | None = None) -> KeptScenes:
    """The scenes of ``train`` or ``test``, all of them checked; of the first ``most``, if that is said.

    Up to ``IN_MEMORY`` bytes, and an eighth of this machine's memory, are kept in memory. What is more is copied to a
    plain file without a name beside ``path`` (``scratch_folder``): ``StorageError`` if it has no room there.
    """
    with open_split(path, split) as stored:
        number = len(stored) if most is None else min(most, len(stored))
        folder, limit = scratch_folder(path), int(min(IN_MEMORY, half_of_the_memory() / 4))
        kept: KeptScenes | None = None
        for block in stored.blocks():
            if kept is None:
                shapes = [(number, *values.shape[1:]) for values in (block.images, block.boxes)]
                images, boxes = (
                    Rows(shape, dtype, folder, limit) for shape, dtype in zip(shapes, (np.uint8, np.int16), strict=True)
                )
                kept, start = KeptScenes(images, np.empty(number, np.uint8), boxes), 0
            some = max(0, min(len(block.counts), number - start))
            kept.images.append(block.images[:some])
            kept.boxes.append(block.boxes[:some])
            kept.counts[start : start + some] = block.counts[:some]
            start += some
        assert kept is not None
        return kept


def _with(first: SceneSplit, others: Iterator[SceneSplit]) -> Iterator[SceneSplit]:
    yield first
    yield from others


# --- checks ----------------------------------------------------------------------------------------------------------


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset in ordinary chunks, of the dtype of the schema; nothing is read."""
    dataset = own_dataset(group, name, (h5py.h5d.CHUNKED,))
    if dataset.dtype != np.dtype(_DTYPES[name]):
        raise RefusedError(f"{name} is {dataset.dtype} where {np.dtype(_DTYPES[name])} belongs")
    return dataset


def _check_shapes(
    datasets: Mapping[str, h5py.Dataset], attributes: Mapping[str, Attribute], split: str, on_disk: int
) -> None:
    """All shapes follow from the attributes, and the file is large enough to hold every chunk of them."""
    n, canvas = int(attributes[split]), int(attributes["canvas"])
    slots = max(1, int(attributes["max_digits"]))
    shapes = {
        "images": (n, canvas, canvas),
        "counts": (n,),
        "labels": (n, slots),
        "boxes": (n, slots, 4),
        "scales": (n, slots),
        "digit_index": (n, slots),
    }
    for name, dataset in datasets.items():
        if dataset.shape != shapes[name]:
            raise RefusedError(f"{split}/{name} is {dataset.shape} where its attributes say {shapes[name]}")
        check_chunks(dataset, f"{split}/{name}", MAX_IMAGE_BYTES, on_disk)
    images = datasets["images"]
    at_once = images.chunks[0] * canvas**2
    if at_once > max(_MOST_BLOCK_BYTES, canvas**2):
        raise RefusedError(
            f"{split}/images has chunks of {images.chunks}: expected whole scenes, since {at_once} bytes are in one row"
        )


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return int(math.prod(dataset.chunks) * dataset.dtype.itemsize)


def _check_values(scenes: SceneSplit, min_digits: int, max_digits: int) -> None:
    """Counts, labels, boxes, scales and digits agree with one another."""
    if scenes.counts.max() > max_digits:
        raise RefusedError(f"has a count of {scenes.counts.max()} where at most {max_digits} digits were asked for")
    if scenes.counts.min() < min_digits:
        raise RefusedError(f"has a count of {scenes.counts.min()} where at least {min_digits} digits were asked for")
    there = np.arange(scenes.labels.shape[1]) < scenes.counts[:, None]
    x0, y0, x1, y1 = np.moveaxis(scenes.boxes, -1, 0)
    canvas = scenes.images.shape[1]
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1) & (x1 <= canvas) & (y1 <= canvas)
    padded = {
        "labels": np.array_equal(scenes.labels != NO_LABEL, there),
        "boxes": bool(np.where(there, inside, (scenes.boxes == -1).all(-1)).all()),
        "scales": bool(np.where(there, np.isfinite(scenes.scales) & (scenes.scales > 0), scenes.scales == 0).all()),
        "digit_index": bool(np.where(there, scenes.digit_index >= 0, scenes.digit_index == -1).all()),
    }
    wrong = [name for name, good in padded.items() if not good]
    if wrong:
        raise RefusedError(f"{' and '.join(wrong)} contradict the counts")
