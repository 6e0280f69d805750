"""A user's own digits: an IDX file, an .npz, or a folder of pictures, each read as from a stranger.

All of them are expected bright on dark, as MNIST is: scenes are made by ADDING digits on a black canvas.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from airctl.errors import InputFileError
from airctl.scenes.fetch import find_idx
from airctl.scenes.idx import MAX_BYTES, read_idx
from airctl.scenes.npy import npz_arrays
from airctl.scenes.picture_files import SUFFIXES, open_picture

FITTED_SIDE = 28
MAX_PICTURE_PIXELS = 2**24
Images = tuple[np.ndarray, np.ndarray]  # uint8 [n, h, w] and labels uint8 [n], each label 0..254


def read_source(path: Path) -> Images:
    """The digits of an IDX images file, an .npz file or a folder of pictures; raises ``InputFileError``."""
    if path.is_dir():
        return read_pictures(path)
    if path.suffix == ".npz":
        return read_npz(path)
    return read_idx_pair(path)


def checked(images: np.ndarray, labels: np.ndarray, path: Path) -> Images:
    """The digits with their labels as uint8, when they fit each other and the labels leave 255 free for padding."""
    if images.shape[0] == 0 or min(images.shape) == 0:
        raise InputFileError(f"{path}: holds no digits (shape {images.shape}), expected at least one")
    if len(labels) != len(images):
        raise InputFileError(f"{path}: holds {len(images)} digits but {len(labels)} labels, expected as many")
    if labels.min() < 0 or labels.max() > 254:
        raise InputFileError(f"{path}: holds labels {labels.min()}..{labels.max()}, expected 0..254")
    return images, labels.astype(np.uint8)


# --- IDX -------------------------------------------------------------------------------------------------------------


def read_idx_pair(path: Path) -> Images:
    """Images with the labels beside them by MNIST's names (``images-idx3`` / ``labels-idx1``), else all labels 0."""
    images = read_idx(path, ndim=3)
    name = path.name.removesuffix(".gz")
    labels_name = name.replace("images", "labels").replace("idx3", "idx1")
    labels_path = find_idx(path.parent, labels_name) if labels_name != name else None
    labels = np.zeros(len(images), np.uint8) if labels_path is None else read_idx(labels_path, ndim=1)
    return checked(images, labels, path)


# --- .npz ------------------------------------------------------------------------------------------------------------


def read_npz(path: Path) -> Images:
    """Arrays ``images`` uint8 [n, h, w] and, if there, ``labels`` (integers [n]); pickled objects are refused."""
    found = npz_arrays(path, ["images", "labels"])
    if "images" not in found:
        raise InputFileError(f"{path}: holds no array named images, expected one")
    images = found["images"]
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputFileError(
            f"{path}: images is {images.dtype} with {images.ndim} dimensions, expected uint8 [n, h, w]"
        )
    labels = found.get("labels", np.zeros(len(images), np.uint8))
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputFileError(f"{path}: labels is {labels.dtype} {labels.shape}, expected integers [n]")
    return checked(images, labels, path)


# --- pictures --------------------------------------------------------------------------------------------------------


def read_pictures(folder: Path) -> Images:
    """The pictures of a folder, sorted by name, as grey digits that are expected bright on dark.

    Pictures in sub-folders are labelled by the sub-folder: by its name where all names are integers 0..254, else by
    its place among the sorted names. Pictures of one common size keep it; others are fitted into 28 x 28, aspect kept.
    """
    paths, labels = _pictures_of(folder)
    sizes = {_picture_size(path) for path in paths}
    side = (FITTED_SIDE, FITTED_SIDE) if len(sizes) > 1 else next(iter(sizes))
    if len(paths) * side[0] * side[1] > MAX_BYTES:
        raise InputFileError(f"{folder}: {len(paths)} pictures of {side[0]} x {side[1]} are over {MAX_BYTES} bytes")
    images = np.stack([_picture(path, side) for path in paths])
    return checked(images, np.array(labels), folder)


def _pictures_of(folder: Path) -> tuple[list[Path], list[int]]:
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    by_name = all(path.name.isascii() and path.name.isdigit() and int(path.name) <= 254 for path in folders)
    found = [(path, 0) for path in _pictures_in(folder)]
    for place, sub in enumerate(folders):
        found += [(path, int(sub.name) if by_name else place) for path in _pictures_in(sub)]
    if not found:
        raise InputFileError(f"{folder}: no MNIST files and no pictures in it, expected PNG or JPEG files")
    return [path for path, _ in found], [label for _, label in found]


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _picture_size(path: Path) -> tuple[int, int]:
    with open_picture(path, MAX_PICTURE_PIXELS) as picture:
        return picture.size


def _picture(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The picture as grey uint8 [h, w]; transparent pixels are black; fitted into ``size`` unless it has it."""
    with open_picture(path, MAX_PICTURE_PIXELS) as picture:
        if picture.mode.startswith(("I", "F")):
            raise InputFileError(f"{path}: has {picture.mode} pixels, expected 8 bits a channel")
        try:
            rgba = picture.convert("RGBA")
        except (OSError, ValueError, SyntaxError, zlib.error) as error:
            raise InputFileError(f"{path}: damaged picture ({error})") from error
    black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
    grey = Image.alpha_composite(black, rgba).convert("L")
    if grey.size == size:
        return np.asarray(grey)
    ratio = min(size[0] / grey.width, size[1] / grey.height)
    fitted = grey.resize((max(1, int(grey.width * ratio)), max(1, int(grey.height * ratio))), Image.Resampling.BILINEAR)
    middle = Image.new("L", size)
    middle.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    return np.asarray(middle)
