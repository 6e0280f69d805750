"""From a photograph to what a model reads: bright objects on black, all of about the same size in pixels.

A channel is chosen, dark objects become bright, the picture is resized so that its objects have the size that the model
works at, uneven light is taken off, and the contrast is stretched. ``choose`` finds out from some pictures what a
person has not said; ``develop`` does to any picture what was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, grey_opening
from skimage.filters import threshold_otsu

from airctl.config import PictureConfig
from airctl.errors import ConfigError, InputFileError
from airctl.scenes.object_size import blobs, bright_or_dark
from airctl.scenes.own_pictures import CHANNELS, Fitted, Picture

WORKING_SIZE = 18.5  # pixels: side of an object with its margin in a developed picture
ROOM = 1.25  # that side over the diameter of an object: with more, one glimpse takes two small objects that touch
SMALLEST = 3.0  # pixels of a picture: smaller objects have no shape
CLEARER = 1.3  # times the contrast of grey that one channel must have to be looked at alone
WIDEST = 2.0  # object diameters: what is wider belongs to the background
NOISE = 2.0  # sds of the background's noise that are taken for black
BRIGHT = 90.0  # percentile of the brightness of objects that becomes white
MOST = 2**27  # pixels of a developed picture
LEAST = 1e-3  # contrast that is stretched
LOOKED_AT = 16  # pictures, at most, from which choices are made


def develop(picture: Picture, how: PictureConfig, working_size: float = WORKING_SIZE) -> Fitted:
    """``picture`` as a model reads it whose objects have ``working_size`` pixels, and the way back to the picture.

    ``InputFileError`` for one that would be enlarged beyond ``MOST`` pixels.
    """
    require_bounded(picture, how.object_size, working_size)
    flat = _flat(_brightness(picture, how.channel), how, working_size / ROOM)
    canvas = ((flat - how.black) / max(how.white - how.black, LEAST)).clip(0, 1)
    size, (height, width) = picture.size, flat.shape
    ratio = (width / size[0], height / size[1])
    return Fitted((canvas * 255).round().astype(np.uint8), ratio, (0, 0), size)


def choose(
    pictures: Sequence[Picture],
    object_size: float | None = None,
    channel: str | None = None,
    invert: str | None = None,
    background: str = "flat",
    working_size: float = WORKING_SIZE,
) -> PictureConfig:
    """How to develop ``pictures``; what is not said (None) is found out from at most ``LOOKED_AT`` of them.

    ``object_size`` is the diameter of an object in pixels. ``ConfigError`` where no size can be found or meant,
    ``InputFileError`` for a picture that is smaller than an object whose size was said, and if all are too large.
    """
    if object_size is not None:
        check_size(object_size)
        for picture in pictures:
            require_fit(picture, object_size)
    some = _some(pictures)
    if channel is None:
        channel = _clearest(some)
    greys = [_brightness(picture, channel) for picture in some]
    if invert in (None, "each"):
        seen = [bright_or_dark(grey) for grey in greys]
        kinds = {dark for _, dark in seen}
        invert = "each" if invert or len(kinds) > 1 else ("yes" if True in kinds else "no")
        found = [bright for bright, _ in seen]
    elif object_size is None:
        found = [blobs(-grey if invert == "yes" else grey) for grey in greys]
    if object_size is None:
        sizes = [one.size for one in found if len(one.diameter)]
        if not sizes:
            raise ConfigError(
                "no objects can be told in the pictures: say with object_size=PIXELS how large they are", "object_size"
            )
        object_size = float(np.median(sizes))
    check_size(object_size)
    greys = [grey for picture, grey in zip(some, greys, strict=True) if _bounded(picture, object_size, working_size)]
    if not greys:
        require_bounded(some[0], object_size, working_size)
    how = PictureConfig(object_size=round(object_size, 2), channel=channel, invert=invert, background=background)
    black, white = _contrast([_flat(grey, how, working_size / ROOM) for grey in greys])
    return replace(how, black=black, white=white)


def _some(pictures: Sequence[Picture]) -> list[Picture]:
    places = np.linspace(0, len(pictures) - 1, min(len(pictures), LOOKED_AT)).round().astype(int)
    return [pictures[i] for i in places]


def check_size(object_size: float) -> None:
    """``ConfigError`` for objects that are too small."""
    if not object_size >= SMALLEST:
        raise ConfigError(
            f"objects of {object_size:.3g} pixels are too small to have a shape: expected at least {SMALLEST:.0f}",
            "object_size",
        )


def require_fit(picture: Picture, object_size: float) -> None:
    """``InputFileError`` for a picture that is smaller than an object."""
    width, height = picture.size
    if object_size > min(width, height):
        raise InputFileError(f"{picture.name}: objects of {object_size:.4g} pixels do not fit into {width}x{height}")


def require_bounded(picture: Picture, object_size: float, working_size: float = WORKING_SIZE) -> None:
    """``InputFileError`` for a picture that would be enlarged beyond ``MOST`` pixels."""
    width, height = picture.size
    if not _bounded(picture, object_size, working_size):
        raise InputFileError(
            f"{picture.name}: with objects of {object_size:.3g} pixels its {width}x{height} would be enlarged to more "
            f"than {MOST}, cut it into parts"
        )


def _bounded(picture: Picture, object_size: float, working_size: float) -> bool:
    """Whether the developed picture has at most ``MOST`` pixels."""
    scale = working_size / ROOM / object_size if object_size else 1.0
    return picture.size[0] * picture.size[1] * scale**2 <= MOST


def _brightness(picture: Picture, channel: str) -> np.ndarray:
    """What is looked at, float32 [h, w] from 0 to 1."""
    if picture.values.dtype == np.uint16:
        return picture.values.astype(np.float32) / 65535
    return picture.channel(channel).astype(np.float32) / 255


def _clearest(pictures: Sequence[Picture]) -> str:
    """Grey, unless one channel of the colour pictures has clearly more contrast."""
    coloured = [picture for picture in pictures if picture.values.ndim == 3]
    if not coloured:
        return "grey"
    contrast = {
        channel: float(np.mean([_spread(_brightness(picture, channel)) for picture in coloured]))
        for channel in ("grey", *CHANNELS)
    }
    best = max(contrast, key=lambda channel: contrast[channel])
    return best if contrast[best] > CLEARER * contrast["grey"] else "grey"


def _spread(grey: np.ndarray) -> float:
    low, high = np.percentile(grey, [1, 99])
    return float(high - low)


def _flat(grey: np.ndarray, how: PictureConfig, diameter: float) -> np.ndarray:
    """``grey`` [h, w] with bright objects of ``diameter`` pixels on a background of about 0, float32 [h', w']."""
    if how.invert == "yes" or (how.invert == "each" and bright_or_dark(grey)[1]):
        grey = 1 - grey
    scale = diameter / how.object_size if how.object_size else 1.0
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    small = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR))
    return small - background(small, diameter) if how.background == "flat" else small


def background(small: np.ndarray, diameter: float) -> np.ndarray:
    """The uneven light of a picture [h, w] with objects of ``diameter`` pixels: what is wider than they are."""
    side = round(WIDEST * diameter)
    low = grey_opening(gaussian_filter(small, 1.0), size=(side, side), mode="nearest")
    light: np.ndarray = gaussian_filter(low, diameter / 2)
    return light


def _contrast(flats: Sequence[np.ndarray]) -> tuple[float, float]:
    """What becomes black and what white: above the noise of the background, and as bright as bright objects are."""
    values = np.concatenate([flat.ravel() for flat in flats])
    if values.min() == values.max():
        return 0.0, 1.0
    threshold = float(threshold_otsu(values))
    dark, bright = values[values <= threshold], values[values > threshold]
    middle = float(np.median(dark))
    noise = 1.4826 * float(np.median(np.abs(dark - middle)))
    black = min(middle + NOISE * noise, threshold)
    return round(black, 5), round(max(float(np.percentile(bright, BRIGHT)), black + LEAST), 5)
