"""NumPy's .npy and .npz files, read as from a stranger: sizes are checked first and no object is ever built."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from airctl.errors import InputFileError
from airctl.scenes.idx import MAX_BYTES, read_at_most

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_PLAIN_ZIP = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def npy_array(path: Path) -> np.ndarray:
    """The array of an .npy file; ``InputFileError`` for anything else."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputFileError(f"{path}: is {size} bytes long, expected at most {MAX_BYTES}")
        with open(path, "rb") as stream:
            return _array(read_at_most(stream, size + 1), str(path))
    except InputFileError:
        raise
    except Exception as error:
        raise InputFileError(f"{path}: missing, damaged or no .npy ({error})") from error


def npz_array(path: Path, name: str) -> np.ndarray:
    """Array ``name`` of an .npz file; ``InputFileError`` if there is none or it is anything else."""
    found = npz_arrays(path, [name])
    if name not in found:
        raise InputFileError(f"{path}: holds no array named {name}")
    return found[name]


def npz_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Those of the arrays ``names`` that an .npz file holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            there = archive.namelist()
            return {name: _member(archive, name, path) for name in names if f"{name}.npy" in there}
    except InputFileError:
        raise
    # zipfile and numpy meet a foreign file with exceptions of many kinds; numpy even evaluates a header as a literal.
    except Exception as error:
        raise InputFileError(f"{path}: missing, damaged or no .npz ({error})") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """One array of the archive; its size is checked before any of it is unpacked."""
    members = [info for info in archive.infolist() if info.filename == f"{name}.npy"]
    if len(members) != 1:
        raise InputFileError(f"{path}: holds {len(members)} arrays named {name}, expected one")
    info = members[0]
    if info.file_size > MAX_BYTES or info.compress_type not in _PLAIN_ZIP or info.flag_bits & 1:
        raise InputFileError(
            f"{path}: {name} is {info.file_size} bytes in an unusual packing, expected at most {MAX_BYTES}, "
            "stored or deflated"
        )
    with archive.open(info) as stream:
        return _array(read_at_most(stream, info.file_size + 1), f"{path}: {name}")


def _array(content: bytes, what: str) -> np.ndarray:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise InputFileError(f"{what} is an .npy array of version {version}, expected 1.0 or 2.0")
    shape, fortran, dtype = _HEADERS[version](stream)
    values = len(content) - stream.tell()
    if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != values:
        raise InputFileError(f"{what} declares {dtype} {shape}, expected an array of its {values} bytes")
    return np.frombuffer(content, dtype, offset=len(content) - values).reshape(shape, order="F" if fortran else "C")
