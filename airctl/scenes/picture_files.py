"""Picture files, read as from a stranger: asked for their size before a pixel is unpacked, refused in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from airctl.errors import InputFileError
from airctl.files import is_regular
from airctl.scenes.hdf5 import half_of_the_memory

MAX_PIXELS = 2**26
_DECODED = 8  # bytes a pixel while it is decoded, at most: Pillow's four, and ours
_STRIP = 2**20  # pixels converted at once
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def read_picture(path: Path) -> Iterator[np.ndarray]:
    """The pages of a picture file, upright and without transparency: uint8 [h, w] or [h, w, 3], or uint16 [h, w].

    Only a TIFF has more than one page; of an animation the first picture is taken.
    """
    with open_picture(path, MAX_PIXELS) as picture:
        page, pages = 0, 1
        while page < pages:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if picture.format == "TIFF" and not page:
                        pages = getattr(picture, "n_frames", 1)
                    if page:
                        picture.seek(page)
                    _check_size(picture, path, MAX_PIXELS)
                    if picture.mode in ("I", "F"):
                        raise InputFileError(f"{path}: has {picture.mode} pixels, expected 8 or 16 bits a channel")
                    _check_planes(picture, path)
                    decoded = _decoded(picture)
            except InputFileError:
                raise
            except Exception as error:
                raise InputFileError(f"{path}: damaged picture ({_reason(error)})") from error
            yield decoded
            page += 1


def open_picture(path: Path, most: int) -> Image.Image:
    """The picture with its header read and its size checked, its pixels not yet unpacked."""
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file, expected a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit is lower than the one that Pillow warns of
            picture = Image.open(path, formats=FORMATS)
    # Pillow meets a damaged or foreign file with exceptions of every kind, here and when it unpacks the pixels.
    except Exception as error:
        raise InputFileError(f"{path}: cannot be read as a picture ({_reason(error)})") from error
    try:
        _check_size(picture, path, most)
    except InputFileError:
        picture.close()
        raise
    return picture


def _check_size(picture: Image.Image, path: Path, most: int) -> None:
    """Refuse more than ``most`` pixels, and what this machine's memory cannot hold while it is decoded."""
    pixels = picture.width * picture.height
    if not 0 < pixels <= most:
        raise InputFileError(f"{path}: declares {picture.size} pixels, expected at most {most} in all")
    needed, memory = pixels * _DECODED, half_of_the_memory()
    if needed > memory:
        raise InputFileError(
            f"{path}: its {picture.size} pixels need up to {needed / 1e9:.2f} GB while they are decoded, more than "
            f"half of this machine's memory ({memory / 1e9:.2f} GB): cut it into parts"
        )


def _check_planes(picture: Image.Image, path: Path) -> None:
    """Colours of 16 bits in planes of their own, as a stack of three is sometimes written, are misread by Pillow."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(284) == 2 and max(tags.get(258, (8,))) > 8:  # PlanarConfiguration, BitsPerSample
        raise InputFileError(f"{path}: has colours of 16 bits in separate planes, expected a page for each picture")


def _decoded(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I;16"):
        return _upright(np.asarray(picture).astype(np.uint16), picture)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.has_transparency_data:
        return _opaque(picture)
    return _pixels(picture, lambda strip: strip.convert("L" if picture.mode in ("1", "L") else "RGB"))


def _pixels(picture: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """All pixels, ``convert``ed a strip at a time: Pillow keeps four bytes of each, and NumPy takes two copies."""
    out: np.ndarray | None = None
    for strip, start in _strips(picture):
        values = np.asarray(convert(strip))
        if out is None:
            out = np.empty((picture.height, *values.shape[1:]), np.uint8)
        out[start : start + len(values)] = values
    assert out is not None
    return out


def _strips(picture: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    rows = max(1, _STRIP // picture.width)
    for start in range(0, picture.height, rows):
        yield picture.crop((0, start, picture.width, min(start + rows, picture.height))), start


def _upright(values: np.ndarray, picture: Image.Image) -> np.ndarray:
    """Turned as the picture says: Pillow turns only pictures of 8 bits. The eight ways are those of EXIF."""
    way = picture.getexif().get(0x0112, 1)
    if way in (5, 6, 7, 8):
        values = values.T
    if way in (2, 3, 6, 7):
        values = values[:, ::-1]
    if way in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def _opaque(picture: Image.Image) -> np.ndarray:
    """The picture on black if what it shows is bright, else on white: uint8 [h, w, 3]."""
    total = number = 0
    for strip, _ in _strips(picture):
        strip = strip.convert("RGBA")
        shown = np.asarray(strip.convert("L"))[np.asarray(strip.getchannel("A")) > 127]
        total, number = total + int(shown.sum(dtype=np.int64)), number + shown.size
    behind = 0 if number == 0 or total > 127 * number else 255

    def on_it(strip: Image.Image) -> Image.Image:
        strip = strip.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", strip.size, (behind, behind, behind, 255)), strip).convert("RGB")

    return _pixels(picture, on_it)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
