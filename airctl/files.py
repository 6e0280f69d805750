"""Writing so that a reader never sees half a file, reading no more than a stranger should give, sha256 of bytes.

Everything airctl writes goes through here: aside, fsync, rename, fsync the folder. A process that is killed at any
point leaves either the old file or the new one, and at most a ``.part`` file, which the next process that writes into
the folder deletes. Each write has a part of its own, so that any number of processes may write one file. No write
follows a link.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from airctl.errors import ConfigError, InputFileError, PlaceError, StorageError

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_NO_LINKS_ERRNOS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# A pipe without a reader is an error, and not waited for.
_NOT_THROUGH = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NEW = os.O_WRONLY | os.O_CREAT | _NOT_THROUGH
_CLEANED: set[tuple[int, Path]] = set()  # process and folder: a folder is looked through once


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk answers to writing ``path`` into one sentence.

    ``StorageError`` for a full, failing or read-only disk, ``PlaceError`` for a place where one cannot write.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _STORAGE_ERRNOS:
            raise StorageError(
                f"could not write {path}: {os.strerror(error.errno)}; what was there before is untouched: "
                "free some space or choose another place, then run the same command again"
            ) from error
        raise PlaceError(f"could not write {path} ({error.strerror or error}): choose another place") from error
    except ValueError as error:
        if "\0" in str(path):
            raise PlaceError(f"{str(path)!r} cannot be the name of a file: choose another place") from error
        raise


def make_folder(path: Path) -> None:
    """Make the folder ``path`` and those above it, each on the disk before anything is put into it."""
    for folder in [*reversed(path.parents), path]:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            sync(folder.parent)


@contextmanager
def atomic_path(path: Path, replace: bool = True) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it takes the place of ``path``, on failure it is removed.

    Without ``replace`` a file that is there stays what it is, also one that came while this one was written:
    ``ConfigError``.
    """
    with storage_errors(path):
        if path.exists() and not path.is_file():  # a rename would put a file in the place of /dev/null
            raise PlaceError(f"{path} is no ordinary file: choose another place")
        make_folder(path.parent)
        with _writing_into(path.parent):
            part = path.parent / f".airctl-{secrets.token_hex(8)}.part"
            try:
                yield part
                sync(part)
                os.replace(part, path) if replace else _name_new(part, path)
                sync(path.parent)
            except BaseException:
                part.unlink(missing_ok=True)
                raise


@contextmanager
def _writing_into(folder: Path) -> Iterator[None]:
    """Hold a shared lock on ``folder``; where nobody else does, first delete the parts of writers that were killed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):  # without such locks parts are left where they are
            import fcntl

            if (os.getpid(), folder) not in _CLEANED:
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    for rest in folder.glob(".airctl-*.part"):
                        rest.unlink()
                    _CLEANED.add((os.getpid(), folder))
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # at most until another process has cleaned
        yield
    finally:
        os.close(descriptor)


def _name_new(part: Path, path: Path) -> None:
    """Give ``part`` the name ``path`` if nothing has it; ``ConfigError`` otherwise."""
    try:
        try:
            os.link(part, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS_ERRNOS:
                raise
            os.close(os.open(path, _NEW | os.O_EXCL, 0o666))  # on such a disk the name is taken first
            os.replace(part, path)
        else:
            part.unlink()
    except FileExistsError as error:
        raise ConfigError(f"{path} exists: say force=True to replace it, or choose another name", "force") from error


def write_bytes(path: Path, content: bytes | memoryview, replace: bool = True) -> None:
    """Write a file, all of it or nothing; ``ConfigError`` for one that is there and may not be replaced."""
    with atomic_path(path, replace) as part:
        _write(part, content, _NEW | os.O_EXCL)


def write_together(contents: Mapping[Path, bytes], replace: bool = True) -> None:
    """Write files that belong together: each is whole beside its place before the first one is put into its own.

    Without ``replace`` nothing is written if one of them is there, also if it came meanwhile: ``ConfigError``.
    """
    placed: list[Path] = []
    try:
        with ExitStack() as stack:
            for path, content in contents.items():
                stack.push(lambda kind, *rest, path=path: placed.append(path) if kind is None else None)
                _write(stack.enter_context(atomic_path(path, replace)), content, _NEW | os.O_EXCL)
    except BaseException:
        for path in [] if replace else placed:  # of these none was there before
            path.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, replace: bool = True) -> None:
    """``write_bytes`` of ``text`` as UTF-8."""
    write_bytes(path, text.encode("utf-8"), replace)


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
    """The bytes of a file of at most ``most``; ``InputFileError`` for one that is larger, no file, or unreadable.

    What it is and how large is asked of the open file, and opening does not wait: a pipe may have taken its place.
    """
    if not is_regular(path):
        there = "it is no ordinary file" if os.path.lexists(str(path).replace("\0", "")) else "no such file"
        raise InputFileError(f"{path}: {there}")
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as stream:
            told = os.fstat(stream.fileno())
            content = stream.read(most + 1) if stat.S_ISREG(told.st_mode) and told.st_size <= most else None
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
    if content is None or len(content) > most:
        raise InputFileError(f"{path} is too large, or no ordinary file: expected at most {most} bytes")
    return content


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file, read in pieces."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_stranger(path: Path, most: int) -> str:
    """``sha256_of`` of an ordinary file of at most ``most`` bytes that is no link; ``InputFileError`` for any other.

    No more is read than it has when it is opened.
    """
    if path.is_symlink():
        raise InputFileError(f"{path} is a link")
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file" if not path.exists() else f"{path} is no ordinary file")
    digest = hashlib.sha256()
    try:
        with open(os.open(path, os.O_RDONLY | _NOT_THROUGH), "rb") as stream:
            told = os.fstat(stream.fileno())
            if not stat.S_ISREG(told.st_mode) or told.st_size > most:
                raise InputFileError(f"{path} is too large, or no ordinary file: expected at most {most} bytes")
            rest = told.st_size
            while rest and (piece := stream.read(min(rest, 1 << 20))):
                digest.update(piece)
                rest -= len(piece)
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
