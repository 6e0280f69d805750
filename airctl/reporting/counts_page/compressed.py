"""Pictures as JPEG or PNG of at most so many pixels and bytes, for a page that holds hundreds of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

_QUALITIES = (88, 75, 60)  # of JPEG; below the last one blocks are seen, so that the picture is made smaller instead
_SMALLER = 0.8
_LONGEST = 65_500  # pixels of a side of a JPEG file


def as_image(picture: np.ndarray) -> Image.Image:
    """A picture (uint8 [h, w] or [h, w, 3], or floats in [0, 1] of these shapes) for Pillow; ``ValueError`` if none."""
    if picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)) or not picture.size:
        raise ValueError(f"a picture has the shape [h, w] or [h, w, 3], none of them 0; this one has {picture.shape}")
    if np.issubdtype(picture.dtype, np.floating):
        picture = in_bytes(picture)
    if picture.dtype != np.uint8:
        raise ValueError(f"a picture is of uint8, or of floats in [0, 1]; this one is of {picture.dtype}")
    return Image.fromarray(np.ascontiguousarray(picture))


def in_bytes(picture: np.ndarray) -> np.ndarray:
    """A picture of floats as uint8: 1 is 255, what is beyond 0 and 1 is cut off. Row by row, as floats are large."""
    out = np.empty(picture.shape, np.uint8)
    for row, values in zip(out, picture, strict=True):
        row[...] = (np.clip(np.nan_to_num(values), 0, 1) * 255).round()
    return out


def packed(image: Image.Image, pixels: int, most: int) -> bytes:
    """``image`` with at most ``pixels`` pixels in a file of at most ``most`` bytes (1000 or more), PNG or JPEG.

    A PNG, which loses nothing, where it is the smaller of the two: a flat picture, whose own file is small, must not
    become many times as large. Of a JPEG quality is lowered first and then the size: what is smaller can still be
    read, what has blocks misleads.
    """
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5, _LONGEST / max(image.size))
    while True:
        size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
        scale *= _SMALLER
        if size[0] * size[1] > pixels:  # of a line one pixel wide
            continue
        scaled = image if size == image.size else image.resize(size, Image.Resampling.BOX)
        for quality in _QUALITIES:
            jpeg = _saved(scaled, "JPEG", quality=quality)
            if len(jpeg) <= most or size == (1, 1):
                png = _saved(scaled, "PNG")
                return png if len(png) < len(jpeg) else jpeg


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()
