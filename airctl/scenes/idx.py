"""The IDX format of the MNIST files, read as from a stranger: nothing is believed before it is checked.

Layout (LeCun, Cortes, Burges, "The MNIST database"): two zero bytes, a type code (8 = unsigned byte), the number of
dimensions, one big-endian 32-bit size for each dimension, then the values, last dimension fastest.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from airctl.errors import InputFileError
from airctl.files import is_regular

MAX_BYTES = 2**30
# Deflate packs at most about 1032 : 1, so a larger promise is a lie and is refused before it is believed.
MAX_DEFLATE_RATIO = 1100

_UNSIGNED_BYTE = 8
_PIECE = 2**20


class Readable(Protocol):
    """Anything that gives up to ``size`` bytes at a time."""

    def read(self, size: int, /) -> bytes: ...


def read_idx(path: Path, ndim: int | None = None) -> np.ndarray:
    """The array of an IDX file, raw or gzipped (told by its first bytes): uint8, with ``ndim`` dimensions if given.

    Raises ``InputFileError`` for a missing, foreign, damaged or lying file; never reads more than it declares.
    """
    return array_of(read_idx_content(path, ndim))


def array_of(content: bytes) -> np.ndarray:
    """The values of checked IDX bytes as a read-only uint8 array, without a copy."""
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def read_idx_content(path: Path, ndim: int | None = None) -> bytes:
    """The uncompressed bytes of an IDX file, header included, after every check."""
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file, expected an IDX file (raw or .gz)")
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    return _read_checked(stream, path, ndim, packed)
            return _read_checked(raw, path, ndim, packed)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise InputFileError(f"{path}: damaged or unreadable ({error}), expected a whole IDX file") from error


def _read_checked(stream: Readable, path: Path, ndim: int | None, packed: bool) -> bytes:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or not 1 <= magic[3] <= 4:
        raise InputFileError(
            f"{path}: begins with {magic.hex(' ') or 'nothing'}, expected the IDX magic number of unsigned bytes "
            "(00 00 08 and the number of dimensions)"
        )
    if ndim is not None and magic[3] != ndim:
        raise InputFileError(f"{path}: holds an array of {magic[3]} dimensions, expected {ndim}")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise InputFileError(f"{path}: ends inside its header, expected {magic[3]} sizes")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    expected = math.prod(shape)
    _check_promise(path, len(magic + sizes), shape, packed)
    values = read_at_most(stream, expected + 1)
    if len(values) != expected:
        found = f"only {len(values)}" if len(values) < expected else "more"
        raise InputFileError(f"{path}: holds {found} values, expected the {expected} of its header {shape}")
    return magic + sizes + values


def _check_promise(path: Path, header: int, shape: tuple[int, ...], packed: bool) -> None:
    """Refuse a declared size that the file cannot hold, before anything of that size is allocated."""
    declared, on_disk = math.prod(shape), path.stat().st_size
    if math.prod(max(1, size) for size in shape) > MAX_BYTES:  # 0 x 2**32 x 2**32 values are none, but no array either
        raise InputFileError(f"{path}: declares {declared} bytes {shape}, expected at most {MAX_BYTES}")
    if packed and declared > on_disk * MAX_DEFLATE_RATIO:
        raise InputFileError(f"{path}: declares {declared} bytes {shape}, more than its {on_disk} bytes can unpack to")
    if not packed and declared + header != on_disk:
        raise InputFileError(
            f"{path}: is {on_disk} bytes long, expected {declared + header} for the {shape} of its header"
        )


def read_at_most(stream: Readable, size: int) -> bytes:
    """Up to ``size`` bytes, in pieces, so that memory follows what is there and not what was promised."""
    pieces: list[bytes] = []
    left = size
    while left > 0 and (piece := stream.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
