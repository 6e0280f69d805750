"""Picture files: pages, sixteen bits, EXIF turns, and files that lie."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from airctl.errors import InputFileError
from airctl.scenes import picture_files, read_scenes
from airctl.scenes.picture_files import read_picture


def pages(number: int, **options: object) -> bytes:
    """A TIFF with pages of different sizes."""
    stream = io.BytesIO()
    made = [Image.fromarray(np.full((6 + i, 9), 10 * (i + 1), np.uint8)) for i in range(number)]
    made[0].save(stream, "TIFF", save_all=True, append_images=made[1:], **options)
    return stream.getvalue()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_each_page_of_a_tiff_is_a_picture(compression: str | None, tmp_path: Path) -> None:
    """Named by its place as those of a stack; a single page has the name of the file."""
    for number in (1, 2, 5):
        (tmp_path / "a.tif").write_bytes(pages(number, compression=compression))
        found = list(read_scenes([tmp_path / "a.tif"]))
        assert [one.values.shape for one in found] == [(6 + i, 9) for i in range(number)]
        assert [int(one.values[0, 0]) for one in found] == [10 * (i + 1) for i in range(number)]
        names = [one.name.removeprefix(str(tmp_path / "a.tif")) for one in found]
        assert names == ([""] if number == 1 else [f"[{i}]" for i in range(number)])


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    """A GIF of three is one picture."""
    made = [Image.fromarray(np.full((5, 5), value, np.uint8)) for value in (10, 200, 90)]
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:])
    assert len(list(read_scenes([tmp_path / "a.gif"]))) == 1


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_sixteen_bits_are_turned_as_eight_are(way: int, suffix: str, tmp_path: Path) -> None:
    """Each of the eight orientations of EXIF, with values that tell all of them apart."""
    eight = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    exif = Image.Exif()
    exif[0x0112] = way
    turned = []
    for values in (eight, eight.astype(np.uint16) * 257):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}", exif=exif)
        (found,) = read_picture(tmp_path / f"a.{suffix}")
        turned.append(found)
    assert turned[1].dtype == np.uint16
    assert np.array_equal(turned[1], turned[0].astype(np.uint16) * 257)
    assert np.array_equal(turned[0], eight) == (way == 1)


def test_a_truncated_tiff_is_one_sentence_wherever_it_is_cut(tmp_path: Path) -> None:
    """At every byte: pages that are whole may come first, then InputFileError; never anything else."""
    whole = pages(3)
    refused = 0
    for end in range(0, len(whole), 3):
        (tmp_path / "cut.tif").write_bytes(whole[:end])
        told: list[InputFileError] = []
        found = list(read_scenes([tmp_path / "cut.tif"], refuse=told.append))
        refused += len(told)
        assert len(told) == 1 or 0 < len(found) <= 3
        assert all("cut.tif" in str(error) and "\n" not in str(error) for error in told)
    assert refused > len(whole) / 6


def test_a_tiff_whose_pages_lead_in_a_circle_ends(tmp_path: Path) -> None:
    """The last page says that the first comes next, or a place that is not there."""
    content = bytearray(pages(2))
    where = struct.unpack_from("<I", content, 4)[0]
    for _ in range(2):
        entries = struct.unpack_from("<H", content, where)[0]
        link = where + 2 + 12 * entries
        where = struct.unpack_from("<I", content, link)[0] or where
    for place in (struct.unpack_from("<I", content, 4)[0], 2**31):
        struct.pack_into("<I", content, link, place)
        (tmp_path / "a.tif").write_bytes(content)
        told: list[InputFileError] = []
        assert len(list(read_scenes([tmp_path / "a.tif"], refuse=told.append))) + len(told) in (1, 2, 3)


@pytest.mark.parametrize("side", [30_000, 8_200])
def test_more_pixels_than_can_be_meant_are_refused(side: int, tmp_path: Path) -> None:
    """30 000 x 30 000 in the header of a small TIFF, or 8200 x 8200: before anything is unpacked."""
    content = bytearray(pages(1))
    where = struct.unpack_from("<I", content, 4)[0]
    for entry in range(struct.unpack_from("<H", content, where)[0]):
        at = where + 2 + 12 * entry
        tag = struct.unpack_from("<H", content, at)[0]
        if tag in (256, 257):  # width and height
            struct.pack_into("<HHII", content, at, tag, 4, 1, side)
    (tmp_path / "huge.tif").write_bytes(content)
    with pytest.raises(InputFileError, match=r"huge\.tif: .*pixels") as refused:
        list(read_scenes([tmp_path / "huge.tif"]))
    assert "\n" not in str(refused.value)


def test_what_decoding_takes_is_counted_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bytes a pixel: on a machine with half of that the picture is refused unread, one pixel less is read."""
    path = tmp_path / "p.png"
    Image.new("RGB", (30, 20)).save(path)
    monkeypatch.setattr(picture_files, "half_of_the_memory", lambda: 8 * 600)
    assert next(read_picture(path)).shape == (20, 30, 3)
    monkeypatch.setattr(picture_files, "half_of_the_memory", lambda: 8 * 600 - 1)
    monkeypatch.setattr(Image.Image, "load", lambda picture: pytest.fail("it was decoded"))
    with pytest.raises(InputFileError, match="more than half of this machine's memory"):
        next(read_picture(path))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_strips_are_the_picture(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their height, also where they must agree on what is behind a transparent picture."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 30, 4), dtype=np.uint8), "RGBA").convert(mode)
    picture.save(tmp_path / "p.png")
    whole = next(read_picture(tmp_path / "p.png"))
    monkeypatch.setattr(picture_files, "_STRIP", 100)
    assert np.array_equal(next(read_picture(tmp_path / "p.png")), whole)
    assert whole.shape == ((40, 30) if mode == "L" else (40, 30, 3))


MEMORY = """
    import resource, sys
    from pathlib import Path
    from airctl.scenes.picture_files import read_picture
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert next(read_picture(Path(sys.argv[1]))).shape == (3000, 3000, 3)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_decoding_takes_eight_bytes_a_pixel(tmp_path: Path) -> None:
    """And some megabytes; of a transparent picture too, of which all of it was copied four times."""
    Image.new("RGBA", (3000, 3000), (200, 100, 50, 128)).save(tmp_path / "p.png")
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), str(tmp_path / "p.png")]
    kilobytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert kilobytes * 1024 < 8 * 3000**2 + 40e6


def test_a_stack_that_says_it_is_a_colour_picture_of_16_bits_is_refused(tmp_path: Path) -> None:
    """Pillow would misread its planes; the same values as three pages are the control."""
    values = np.random.default_rng(0).integers(0, 60000, (3, 20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "planes.tif", values, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "pages.tif", values, photometric="minisblack")
    with pytest.raises(InputFileError, match="colours of 16 bits in separate planes, expected a page for each"):
        list(read_picture(tmp_path / "planes.tif"))
    assert np.array_equal(np.stack(list(read_picture(tmp_path / "pages.tif"))), values)
