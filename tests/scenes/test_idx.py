"""IDX files: what is right is read, and every lie is told in one sentence before memory is spent on it."""

import contextlib
import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airctl.errors import InputFileError
from airctl.scenes import read_idx


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


ARRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx_bytes(ARRAY)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_an_idx_file_is_read_as_it_was_written(tmp_path: Path, pack) -> None:
    """Raw and gzipped files give the same array, whatever their name ends in."""
    path = tmp_path / "digits"
    path.write_bytes(pack(GOOD))
    assert np.array_equal(read_idx(path), ARRAY)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG", "begins with 89 50 4e 47"),
        (GOOD.replace(b"\x00\x00\x08\x03", b"\x00\x00\x0d\x03", 1), "magic number of unsigned bytes"),
        (GOOD[:3] + b"\x09" + GOOD[4:], "magic number"),
        (GOOD[:9], "ends inside its header"),
        (GOOD[:-1], "is 39 bytes long, expected 40"),
        (GOOD + b"x", "is 41 bytes long, expected 40"),
        (gzip.compress(GOOD[:-1]), "holds only 23 values, expected the 24"),
        (gzip.compress(GOOD + b"x"), "holds more values"),
        (gzip.compress(GOOD)[:-6], "damaged or unreadable"),
        (gzip.compress(GOOD)[:-8] + bytes(8), "damaged or unreadable"),
        (b"\x1f\x8bnonsense", "damaged or unreadable"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**20, 2**10, 2**10) + b"x", "expected at most"),
        (gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 1000, 1000, 1000)), "can unpack to"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), "expected at most"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # a gzip file has the time in it
)
def test_a_wrong_idx_file_is_refused_in_one_sentence(tmp_path: Path, data: bytes, message: str) -> None:
    """Each kind of damage and of lie is an InputFileError that names the file and what is wrong."""
    path = tmp_path / "digits-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(InputFileError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_expected_number_of_dimensions_is_checked(tmp_path: Path) -> None:
    """A labels file in the place of an images file is named as such."""
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.arange(5)))
    with pytest.raises(InputFileError, match="array of 1 dimensions, expected 3"):
        read_idx(path, ndim=3)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """200 MB of zeros behind a header of 24 values costs less than 8 MB of memory."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(GOOD)
        for _ in range(200):
            stream.write(bytes(10**6))
    tracemalloc.start()
    try:
        with pytest.raises(InputFileError, match="holds more values"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["absent", "folder", "pipe", "x" * 5000, "zero\0byte"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """A missing file, a folder, a pipe that would wait for ever and impossible names get the same sentence."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputFileError, match="no such file"):
        read_idx(tmp_path / name)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60), packed=st.booleans(), start=st.sampled_from([b"", GOOD[:4], GOOD[:16], b"\x1f\x8b"])
)
def test_no_bytes_make_the_reader_fail_otherwise(tmp_path: Path, data: bytes, packed: bool, start: bytes) -> None:
    """Whatever is in the file: an array or an InputFileError."""
    path = tmp_path / "fuzz"
    path.write_bytes(gzip.compress(start + data) if packed else start + data)
    with contextlib.suppress(InputFileError):
        assert read_idx(path).dtype == np.uint8
