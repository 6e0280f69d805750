"""A person's own pictures of scenes, read as from a stranger and fitted to a canvas bright on black, as scenes are.

One picture is in memory at a time, bounded by ``MAX_PIXELS``; of an HDF5 stack some megabytes, of the other stacks all,
bounded by ``MAX_BYTES``, whatever a file declares.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular
from airctl.scenes.hdf5 import dataset_blocks
from airctl.scenes.npy import npy_array, npz_array
from airctl.scenes.picture_files import MAX_PIXELS, SUFFIXES, read_picture
from airctl.scenes.spec import MAX_IMAGE_BYTES

STACKS = {".npy", ".npz", ".h5", ".hdf5"}
CHANNELS = ("red", "green", "blue")
LOOKED_AT = ("grey", *CHANNELS, "brightest")
INVERT = ("auto", "yes", "no", "each")
FIT = ("auto", "pad", "stretch", "whole")
RESAMPLE = ("area", "lanczos", "nearest")
_KERNELS = {
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}

Refuse = Callable[[InputFileError], None]


@dataclass(frozen=True)
class Picture:
    """One picture as it came, upright and without transparency."""

    name: str  # the path; of a stack, the path and [place]
    values: np.ndarray  # uint8 [h, w] or [h, w, 3], or uint16 [h, w]

    @classmethod
    def of_array(cls, values: np.ndarray, name: str = "array") -> Picture:
        """A picture in memory: [h, w] or [h, w, 3], uint8, uint16, bool, or floats from 0 to 1; ``InputFileError``."""
        if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3) or not values.size:
            raise InputFileError(f"{name}: has the shape {values.shape}, expected [h, w] or [h, w, 3]")
        return cls(name, _as_pixels(values, Path(name)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.values.shape[1], self.values.shape[0]

    @property
    def pixels(self) -> np.ndarray:
        """As it is shown, uint8 [h, w] or [h, w, 3]: of 16 bits, the brightest pixel is white."""
        if self.values.dtype == np.uint8:
            return self.values
        return (self.values.astype(np.float32) * (255 / max(1, int(self.values.max())))).round().astype(np.uint8)

    def channel(self, name: str) -> np.ndarray:
        """One of ``CHANNELS``, the brightest, or else the brightness (ITU-R 601-2), uint8 [h, w]; a grey one itself."""
        pixels = self.pixels
        if pixels.ndim == 2:
            return pixels
        if name == "brightest":
            return np.asarray(pixels.max(2))
        if name in CHANNELS:
            return np.ascontiguousarray(pixels[..., CHANNELS.index(name)])
        return np.asarray(Image.fromarray(pixels).convert("L"))


@dataclass(frozen=True)
class Fitting:
    """How a picture becomes a canvas; the defaults suit objects on a plain background, bright or dark."""

    object_size: float | None = None  # diameter of an object in pixels of the picture; 0: found out; None: not said
    channel: str = "auto"  # what is looked at of colour pictures; auto: as in training, or else grey
    invert: str = "auto"  # auto: as in training, or else each; each: if the background is bright
    background: int | None = None  # 0..255, taken as black; None: the median of the picture's border
    fit: str = "auto"  # pad: keeps the aspect; stretch: fills the canvas; whole: keeps its pixels; auto: see ``view``
    resample: str | None = None  # area, which is None, shrinks by averages and enlarges linearly
    fill: float | None = None  # share of the canvas side that the picture's longer side takes; None: 1

    def __post_init__(self) -> None:
        channels = ("auto", *LOOKED_AT)
        for name, known in {"channel": channels, "invert": INVERT, "fit": FIT, "resample": (None, *RESAMPLE)}.items():
            if (value := getattr(self, name)) not in known:
                raise ConfigError(f"{name}={value}: expected one of {', '.join(filter(None, known))}", name)
        if self.background is not None and not 0 <= self.background <= 255:
            raise ConfigError(f"background={self.background}: expected a brightness of 0 to 255", "background")
        if self.fill is not None and not 0 < self.fill <= 1:
            raise ConfigError(f"fill={self.fill}: expected more than 0 and at most 1", "fill")


@dataclass(frozen=True)
class Fitted:
    """A picture on the model's canvas, and the way back from there."""

    canvas: np.ndarray  # uint8 [D, D], bright on black
    ratio: tuple[float, float]  # canvas pixels a pixel of the picture, along x and y
    offset: tuple[int, int]  # where the picture's corner lies on the canvas, x and y
    size: tuple[int, int]  # width and height of the picture

    def to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (x0, y0, x1, y1) [n, 4] on the canvas -> the same in pixels of the picture, kept inside it."""
        offset, ratio, size = (np.array(pair * 2, float) for pair in (self.offset, self.ratio, self.size))
        edges: np.ndarray = np.clip((boxes - offset) / ratio, 0, size)
        return edges


def fit(picture: Picture, side: int, fitting: Fitting) -> Fitted:
    """``picture`` on a canvas of ``side`` pixels: inverted, its background taken off, resized, padded with black.

    With fitting.fit=whole the canvas is as large as the picture, whatever ``side`` is.
    """
    grey = picture.channel(fitting.channel)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    level = round(float(np.median(border))) if fitting.background is None else fitting.background
    if fitting.invert == "yes" or (fitting.invert in ("auto", "each") and level > 127):
        grey, level = 255 - grey, 255 - level
    if level:  # what is darker than the background becomes black too; white stays white
        table = np.clip((np.arange(256) - level) * 255 / max(1, 255 - level), 0, 255).round().astype(np.uint8)
        grey = table[grey]
    height, width = grey.shape
    if fitting.fit == "whole":
        return Fitted(grey, (1.0, 1.0), (0, 0), (width, height))
    longest = max(1, round(side * (fitting.fill or 1.0)))
    scale = longest / max(height, width)
    size = (
        (longest, longest)
        if fitting.fit == "stretch"
        else (max(1, round(width * scale)), max(1, round(height * scale)))
    )
    resample = fitting.resample or "area"
    kernel = _KERNELS[resample]
    if resample == "area" and (size[0] > width or size[1] > height):
        kernel = Image.Resampling.BILINEAR
    resized = Image.fromarray(grey).resize(size, kernel)
    offset = ((side - size[0]) // 2, (side - size[1]) // 2)
    canvas = np.zeros((side, side), np.uint8)
    canvas[offset[1] : offset[1] + size[1], offset[0] : offset[0] + size[0]] = np.asarray(resized)
    return Fitted(canvas, (size[0] / width, size[1] / height), offset, (width, height))


def read_scenes(
    names: Sequence[Path | str],
    dataset: str | None = None,
    refuse: Refuse | None = None,
    wanted: Callable[[str, str], bool] = lambda name, unit: True,
) -> Iterator[Picture]:
    """The pictures that ``names`` mean: files, folders, glob patterns, and stacks (.npy, .npz, HDF5), one at a time.

    Of a folder its picture files are meant, told by their suffix, in the order of their names. ``dataset`` is the array
    of an .npz or HDF5 file; by default ``images``, or those of the test split. Each file that cannot be read goes to
    ``refuse``; without it the ``InputFileError`` is raised. Pictures are passed over that are not ``wanted``, which is
    given a picture's name and that of its unit: the picture itself in a stack, else the file, all pages together.
    """
    for path in picture_paths(names, refuse):
        try:
            if is_stack(path):
                yield from (picture for picture in read_stack(path, dataset) if wanted(picture.name, picture.name))
            elif wanted(str(path), str(path)):
                yield from (picture for picture in _pages(path) if wanted(picture.name, str(path)))
        except InputFileError as error:
            if refuse is None:
                raise
            refuse(error)


def picture_paths(names: Sequence[Path | str], refuse: Refuse | None = None) -> Iterator[Path]:
    """The files that ``read_scenes`` reads, in its order; none is opened."""
    for name in names:
        yield from _paths(str(name), refuse)


def is_stack(path: Path) -> bool:
    """Whether a file's pictures are an array's, by its suffix."""
    return path.suffix.lower() in STACKS


def _pages(path: Path) -> Iterator[Picture]:
    pages = read_picture(path)
    first, second = next(pages), next(pages, None)
    yield Picture(str(path) if second is None else f"{path}[0]", first)
    for number, page in enumerate([] if second is None else itertools.chain([second], pages), 1):
        yield Picture(f"{path}[{number}]", page)


def _paths(name: str, refuse: Refuse | None) -> list[Path]:
    """The files behind a name. A link is followed if the person named it, and refused if it was found."""
    path = Path(name)
    try:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
            reason = "no pictures in this folder, expected PNG, JPEG or TIFF files"
        elif not os.path.lexists(path) and glob.has_magic(name):
            found = sorted(map(Path, glob.glob(name)))  # noqa: PTH207  # Path.glob takes no absolute pattern
            reason = "no file is called like this, expected pictures"
        else:
            return [path]
    except (OSError, ValueError) as problem:
        found, reason = [], f"cannot be looked into ({problem})"
    refused = [f"{p}: is a link to somewhere else, expected the picture itself" for p in found if p.is_symlink()]
    for sentence in refused or ([] if found else [f"{name}: {reason}"]):
        error = InputFileError(sentence)
        if refuse is None:
            raise error
        refuse(error)
    return [p for p in found if not p.is_symlink()]


def read_stack(path: Path, dataset: str | None = None) -> Iterator[Picture]:
    """The pictures of an .npy, .npz or HDF5 file: [n, h, w] or [n, h, w, 3], or one picture [h, w].

    Values are uint8, uint16, bool, or floats from 0 to 1.
    """
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file, expected a stack of pictures")
    if path.suffix.lower() in (".h5", ".hdf5"):
        blocks = dataset_blocks(path, [dataset] if dataset else ["images", "test/images"], MAX_IMAGE_BYTES)
    else:
        whole = npz_array(path, dataset or "images") if path.suffix.lower() == ".npz" else npy_array(path)
        blocks = iter([whole])
    place = 0
    for stack in blocks:
        if stack.ndim == 2:
            stack = stack[None]
        if stack.ndim not in (3, 4) or (stack.ndim == 4 and stack.shape[3] != 3) or min(stack.shape) == 0:
            raise InputFileError(f"{path}: holds an array of {stack.shape}, expected [n, h, w] or [n, h, w, 3]")
        if stack.shape[1] * stack.shape[2] > MAX_PIXELS:
            raise InputFileError(
                f"{path}: has pictures of {stack.shape[1:3]} pixels, expected at most {MAX_PIXELS} in all"
            )
        for values in stack:
            yield Picture(f"{path}[{place}]", _as_pixels(values, path))
            place += 1


def _as_pixels(values: np.ndarray, path: Path) -> np.ndarray:
    kind = values.dtype.kind
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.uint16 and values.ndim == 2:
        return np.ascontiguousarray(values)
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if kind == "b" or (kind == "f" and bool(((values >= 0) & (values <= 1)).all())):
        return (values * np.float32(255)).round().astype(np.uint8)
    raise InputFileError(f"{path}: holds {values.dtype} values, expected uint8, uint16, bool, or floats from 0 to 1")
