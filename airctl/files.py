"""Writing so that a reader never sees half a file, reading no more than a stranger should give, sha256 of bytes.

Everything airctl writes goes through here: aside, fsync, rename, fsync the folder. A process that is killed at any
point leaves either the old file or the new one, and at most a ``.part`` file that the next write replaces. No write
follows a link: what a strange folder calls ``eval.json.part`` may be a link to somebody's file.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from airctl.errors import ConfigError, InputFileError, StorageError

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS}
_NEW = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk answers to writing ``path`` into one sentence.

    ``StorageError`` for a full, failing or read-only disk, ``ConfigError`` for a place where one cannot write.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _STORAGE_ERRNOS:
            raise StorageError(
                f"could not write {path}: {os.strerror(error.errno)}; what was there before is untouched: "
                "free some space or choose another place, then run the same command again"
            ) from error
        raise ConfigError(f"could not write {path} ({error.strerror or error}): choose another place") from error
    except ValueError as error:
        if "\0" in str(path):
            raise ConfigError(f"{str(path)!r} cannot be the name of a file: choose another place") from error
        raise


def make_folder(path: Path) -> None:
    """Make the folder ``path`` and those above it, each on the disk before anything is put into it."""
    for folder in [*reversed(path.parents), path]:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            sync(folder.parent)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it takes the place of ``path``, on failure it is removed."""
    part = path.parent / f"{path.name}.part"
    with storage_errors(path):
        if path.exists() and not path.is_file():  # a rename would put a file in the place of /dev/null
            raise ConfigError(f"{path} is no ordinary file: choose another place")
        make_folder(path.parent)
        part.unlink(missing_ok=True)  # whatever is there, a link too: it is not written through
        try:
            yield part
            sync(part)
            os.replace(part, path)
            sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file, all of it or nothing."""
    with atomic_path(path) as part:
        _write(part, content, _NEW | os.O_EXCL)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: each is whole beside its place before the first one is put into its own."""
    with ExitStack() as stack:
        for path, content in contents.items():
            _write(stack.enter_context(atomic_path(path)), content, _NEW | os.O_EXCL)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, all of it or nothing."""
    write_bytes(path, text.encode("utf-8"))


def put(path: Path, content: bytes) -> None:
    """Write a file in place, and have it on the disk: for files in a folder that nobody looks into yet."""
    _write(path, content, _NEW | os.O_TRUNC)
    sync(path)


def append(path: Path, text: str) -> None:
    """Add ``text`` at the end of a file; a kill can leave a part of it."""
    with storage_errors(path):
        _write(path, text.encode("utf-8"), _NEW | os.O_APPEND)


def _write(path: Path, content: bytes | memoryview, flags: int) -> None:
    descriptor = os.open(path, flags, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Ask the system to put a file or folder on the disk (``fsync``)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_regular(path: Path) -> bool:
    """Whether a file is there that can be opened without waiting for ever; False for names no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_small(path: Path, most: int = 1 << 20) -> bytes:
    """The bytes of a file of at most ``most``; ``InputFileError`` for one that is larger, no file, or unreadable."""
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file")
    try:
        with open(path, "rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise InputFileError(f"{path} is too large: expected at most {most} bytes")
    return content


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file, read in pieces."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
