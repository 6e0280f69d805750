"""Writing a scene file a block at a time: whole or not at all, the same scenes as the same bytes, a full disk told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from airctl.files import atomic_path
from airctl.scenes.digest import ArraysDigest
from airctl.scenes.hdf5 import MAX_ATTRIBUTE_BYTES
from airctl.scenes.rows import Rows
from airctl.scenes.spec import BLOCK_BYTES, SceneSplit

Attribute = int | float | str

# A fixed file format version: the same bytes from later HDF5 libraries too, and checksums over all metadata.
_LIBVER = ("v110", "v110")
_SPOOLED = 2**24  # bytes of an array that waits in memory for its turn
_SHA256 = "0" * 64  # stands where the sha256 will be


class _Disk:
    """A file that HDF5 writes through, and which never refuses.

    HDF5 does not survive a failing disk in good order, and says little of why. So the first error is kept, what comes
    after it is thrown away, and ``check`` raises it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise what the disk has answered, if it has refused anything."""
        if self._error is not None:
            raise self._error

    def write(self, content: bytes) -> None:
        with self._kept():
            rest = memoryview(content)
            while rest:
                rest = rest[self._stream.write(rest) :]

    def truncate(self, size: int) -> None:
        with self._kept():
            self._stream.truncate(size)

    def flush(self) -> None:
        with self._kept():
            self._stream.flush()

    def close(self) -> None:
        with self._kept():
            self._stream.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._kept():
            return self._stream.seek(offset, whence)
        return 0

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        if self._error is None:
            try:
                yield
            except OSError as error:
                self._error = error
        else:
            with suppress(OSError):
                yield


@contextmanager
def new_file(path: Path, replace: bool) -> Iterator[tuple[h5py.File, _Disk]]:
    """A new HDF5 file beside ``path``, which takes its place once it is whole."""
    with atomic_path(path, replace) as part:
        disk = _Disk(open(part, "x+b", buffering=0))  # noqa: SIM115  # closed below
        try:
            with h5py.File(disk, "w", libver=_LIBVER) as file:
                yield file, disk
        finally:
            disk.close()
            disk.check()


def write_attribute(group: h5py.Group, name: str, value: Attribute) -> None:
    """Strings are of fixed length: those of variable length would lie in a part of the file without checksums."""
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")[: MAX_ATTRIBUTE_BYTES // 2]
        group.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", len(raw)))
    else:
        group.attrs.create(name, value, dtype=np.float64 if isinstance(value, float) else np.int64)


def write_split(
    group: h5py.Group, disk: _Disk, scenes: int, blocks: Iterable[SceneSplit], names: Sequence[str], folder: Path
) -> None:
    """Write the arrays ``names`` of so many ``scenes``, which come in ``blocks``, images first, with their sha256.

    Arrays lie in the file one behind the other, so those that are not images wait in memory, or in ``folder``.
    """
    write_attribute(group, "sha256", _SHA256)
    first, *others = names
    digest = ArraysDigest()
    waiting: dict[str, Rows] = {}
    images: h5py.Dataset | None = None
    start = 0
    for block in blocks:
        for name in others:
            values = getattr(block, name)
            rows = waiting.setdefault(name, Rows((scenes, *values.shape[1:]), values.dtype, folder, _SPOOLED))
            rows.append(values)
        values = getattr(block, first)
        if images is None:
            images = _dataset(group, first, (scenes, *values.shape[1:]), values.dtype)
            digest.begin(images.dtype, images.shape)
        _put(images, start, values, digest, disk)
        start += len(values)
    del images  # a dataset that is closed has its place in the file before the next one
    for name, rows in waiting.items():
        dataset = _dataset(group, name, rows.shape, rows.dtype)
        digest.begin(rows.dtype, rows.shape)
        start = 0
        for values in rows.blocks(dataset.chunks[0]):
            _put(dataset, start, values, digest, disk)
            start += len(values)
        del dataset
    told = np.array(digest.hexdigest().encode(), h5py.string_dtype("utf-8", len(_SHA256)))
    group.attrs.get_id("sha256").write(told)


def _dataset(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype) -> h5py.Dataset:
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    return group.create_dataset(
        name,
        shape,
        dtype,
        chunks=(min(shape[0], max(1, BLOCK_BYTES // row)), *shape[1:]),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
        fletcher32=True,
        track_times=False,
    )


def _put(dataset: h5py.Dataset, start: int, values: np.ndarray, digest: ArraysDigest, disk: _Disk) -> None:
    dataset[start : start + len(values)] = values
    digest.add(values)
    disk.check()
