"""Rows on the disk are what rows in memory are, and a disk without room is one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from airctl.errors import StorageError
from airctl.scenes.rows import Rows, scratch_folder

VALUES = np.random.default_rng(0).integers(0, 256, (50, 3, 4)).astype(np.int16)


def kept(folder: Path, most: int) -> Rows:
    rows = Rows(VALUES.shape, VALUES.dtype, folder, most)
    for start in range(0, 50, 7):
        rows.append(VALUES[start : start + 7])
    return rows


@pytest.mark.parametrize("which", [0, -1, slice(None), slice(5, 9), slice(60, 70), [3, 0, 49, 3], np.array([7, 7])])
def test_rows_on_the_disk_are_those_in_memory(tmp_path: Path, which: object) -> None:
    """One, a range, indices in any order; the file has no name."""
    here, there = kept(tmp_path, VALUES.nbytes), kept(tmp_path, VALUES.nbytes - 1)
    assert here.in_memory is not None
    assert there.in_memory is None
    assert np.array_equal(there[which], VALUES[which])
    assert np.array_equal(here[which], VALUES[which])
    assert np.array_equal(list(there), VALUES)
    assert np.array_equal(np.concatenate(list(there.blocks(8))), VALUES)
    assert list(tmp_path.iterdir()) == []


def test_an_index_beyond_the_rows_is_an_error(tmp_path: Path) -> None:
    """As with NumPy, and not the bytes of nobody."""
    for most in (0, 10**6):
        with pytest.raises(IndexError):
            kept(tmp_path, most)[[50]]


def test_a_disk_without_room_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 6, with the size and what to do."""

    class Full:
        def seek(self, place: int) -> None: ...

        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    rows = Rows((10**6, 2500), np.uint8, tmp_path)
    monkeypatch.setattr(rows, "_file", Full())
    with pytest.raises(StorageError, match=r"2\.5 GB of scenes.*No space left.*TMPDIR") as caught:
        rows.append(np.zeros((3, 2500), np.uint8))
    assert caught.value.exit_code == 6


def test_rows_lie_beside_their_file_unless_a_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR wins; a folder that one may not write to is left alone."""
    monkeypatch.delenv("TMPDIR", raising=False)
    assert scratch_folder(tmp_path / "s.h5") == tmp_path
    monkeypatch.setattr(os, "access", lambda *a: False)
    assert scratch_folder(tmp_path / "s.h5") is None
    monkeypatch.undo()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch_folder(tmp_path / "s.h5") is None
