"""Arrays that may be larger than the memory: rows of one dtype and shape, kept in memory while they are few.

The others lie in a plain file without a name, which is gone when the process is, however it ends. A row is read from
there by one seek: a batch of random scenes costs as many reads, where a compressed HDF5 file would have a chunk of a
megabyte unpacked for each of them. The file is read and not mapped: mapped pages count as memory of the process.
"""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import numpy as np

from airctl.errors import StorageError

IN_MEMORY = 2**28  # bytes of an array, up to which it is kept in memory: 107 000 scenes of 50x50 pixels
_BLOCK = 2**22  # bytes read at once where all rows are read in turn


class Rows:
    """An array [n, ...] that is filled once from its first row to its last, and then read.

    It is kept in memory up to ``most`` bytes, and otherwise in a file without a name in ``folder`` (by default where
    temporary files go). ``StorageError`` if that disk is full or fails.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype | type, folder: Path | None = None, most: int | None = None
    ) -> None:
        self.shape, self.dtype, self.folder = shape, np.dtype(dtype), folder
        self.filled = 0
        self._row = math.prod(shape[1:]) * self.dtype.itemsize
        self.nbytes = shape[0] * self._row
        self._file: FileIO | None = None
        self._values = np.empty((0, *shape[1:]), self.dtype)
        if self.nbytes <= (IN_MEMORY if most is None else most):
            self._values = np.empty(shape, self.dtype)
        else:
            with self._disk():
                self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115  # closed below
            weakref.finalize(self, self._file.close)

    @classmethod
    def of(cls, values: np.ndarray) -> Rows:
        """``values``, which are in memory, without a copy."""
        rows = cls((0, *values.shape[1:]), values.dtype)
        rows.shape, rows.nbytes, rows.filled, rows._values = values.shape, values.nbytes, len(values), values
        return rows

    @property
    def in_memory(self) -> np.ndarray | None:
        """All of it, without a copy, if it is in memory."""
        return self._values if self._file is None else None

    def append(self, values: np.ndarray) -> None:
        """Put ``values`` [k, ...] behind the rows that were put there before."""
        if self._file is None:
            self._values[self.filled : self.filled + len(values)] = values
        else:
            rest = memoryview(np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8).data)
            with self._disk():
                self._file.seek(self.filled * self._row)
                while rest:
                    rest = rest[self._file.write(rest) :]
        self.filled += len(values)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: int | slice | np.ndarray | Sequence[int]) -> np.ndarray:
        """One row, a range of rows (of step 1), or the rows of some indices, as NumPy would give them."""
        if self._file is None:
            found: np.ndarray = self._values[which]
            return found
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return self._read(start, max(0, stop - start))
        if isinstance(which, int):
            one: np.ndarray = self._read(range(len(self))[which], 1)[0]
            return one
        out = np.empty((len(which), *self.shape[1:]), self.dtype)
        for place, index in enumerate(np.asarray(which, np.int64).tolist()):
            out[place] = self._read(range(len(self))[index], 1)[0]
        return out

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks():
            yield from block

    def blocks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """All rows in turn, ``rows`` at a time; by default a few megabytes."""
        step = rows or max(1, _BLOCK // max(1, self._row))
        for start in range(0, len(self), step):
            yield self[start : start + step]

    def _read(self, start: int, rows: int) -> np.ndarray:
        assert self._file is not None
        out = np.empty((rows, *self.shape[1:]), self.dtype)
        rest = memoryview(out.reshape(-1).view(np.uint8).data)
        with self._disk():
            self._file.seek(start * self._row)
            while rest:
                read: int | None = self._file.readinto(rest)
                if not read:
                    raise OSError("it has become shorter")
                rest = rest[read:]
        return out

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = self.folder or tempfile.gettempdir()
            raise StorageError(
                f"{self.nbytes / 1e9:.1f} GB of scenes, too many to keep in memory, could not be kept in {place} "
                f"({error.strerror or error}): free some space there, or set TMPDIR to a folder with room"
            ) from error


Array = np.ndarray | Rows


def scratch_folder(path: Path) -> Path | None:
    """Where rows that belong to the file ``path`` are kept: TMPDIR if it is set, otherwise the file's own folder.

    None, where temporary files go, if one may not write there. Many systems keep /tmp in memory.
    """
    if os.environ.get("TMPDIR"):
        return None
    folder = path.absolute().parent
    return folder if os.access(folder, os.W_OK) else None
