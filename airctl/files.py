"""Writing so that a reader never sees half a file, and naming bytes by their sha256.

Everything airctl writes goes through here: aside, fsync, rename, fsync the folder. A process that is killed at any
point leaves either the old file or the new one, and at most a ``.part`` file that the next write replaces.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airctl.errors import StorageError

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full, failing or read-only disk into a ``StorageError`` that says what is still there."""
    try:
        yield
    except OSError as error:
        if error.errno in _STORAGE_ERRNOS:
            raise StorageError(
                f"could not write {path}: {os.strerror(error.errno)}; what was there before is untouched: "
                "free some space or choose another place, then run the same command again"
            ) from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it takes the place of ``path``, on failure it is removed."""
    part = path.with_name(path.name + ".part")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            sync(part)
            os.replace(part, path)
            sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, all of it or nothing."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Ask the system to put a file or folder on the disk (``fsync``)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file, read in pieces."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
