"""Where digits come from: one dataclass, one function, five kinds of source.

A glyph is one digit's image, bright on dark. The training and the test glyphs never share one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airctl.config import hint
from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, sha256_of
from airctl.scenes.blobs import draw_blobs
from airctl.scenes.digest import sha256_of_arrays
from airctl.scenes.fetch import (
    MNIST_5K_NAME,
    MNIST_5K_SHA256,
    MNIST_FILES,
    Say,
    fetch_mnist,
    fetch_mnist_5k,
    find_idx,
)
from airctl.scenes.font import draw_digits
from airctl.scenes.idx import array_of, read_idx_content
from airctl.scenes.sources import Images, checked, read_idx_pair, read_source

FONT_TRAIN, FONT_TEST = 4000, 1000
BLOBS_TRAIN, BLOBS_TEST = 4000, 1000
NAMED_SOURCES = ("mnist", "mnist-5k", "font", "blobs")


@dataclass(frozen=True)
class Glyphs:
    """The digits that scenes are made of, n of one size h x w on each side of the split."""

    train_images: np.ndarray  # uint8 [n, h, w]
    train_labels: np.ndarray  # uint8 [n], 0..254
    test_images: np.ndarray  # uint8 [n, h, w]
    test_labels: np.ndarray  # uint8 [n], 0..254
    source: str  # what a person would call it
    sha256: str  # of all four arrays


def load_glyphs(digits: str, mnist_dir: Path, seed: int, say: Say) -> Glyphs:
    """The digits called mnist, mnist-5k, font or blobs, or those of a PATH; nothing falls back in silence.

    A PATH is a folder with MNIST-named IDX files, an IDX images file, an .npz, or a folder of pictures (see
    ``sources``); without a test part of its own a sixth of it becomes one, by a permutation that ``seed`` fixes.
    Raises ``InputFileError`` for files that are not what they should be, ``AirctlError`` when fetching fails.
    """
    named: dict[str, Callable[[], Glyphs]] = {
        "mnist": lambda: _mnist(mnist_dir, say),
        "mnist-5k": lambda: _mnist_5k(mnist_dir, say),
        "font": lambda: _cut(draw_digits(FONT_TRAIN + FONT_TEST, seed), FONT_TRAIN, "font"),
        "blobs": lambda: _cut(draw_blobs(BLOBS_TRAIN + BLOBS_TEST, seed), BLOBS_TRAIN, "blobs"),
    }
    if digits in named:
        return named[digits]()
    path = Path(digits)
    if not (is_regular(path) or _is_folder(path)):
        raise ConfigError(f"no digits {digits!r} and no such file or folder{hint(digits, NAMED_SOURCES)}")
    try:
        return _own(path, seed, say)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror}), expected digits") from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _glyphs(train: Images, test: Images, source: str) -> Glyphs:
    return Glyphs(*train, *test, source=source, sha256=sha256_of_arrays(*train, *test))


# --- MNIST -----------------------------------------------------------------------------------------------------------


def _mnist(folder: Path, say: Say) -> Glyphs:
    fetch_mnist(folder, say)
    arrays = [_known_idx(folder, name) for name in MNIST_FILES]
    return _glyphs((arrays[0], arrays[1]), (arrays[2], arrays[3]), "mnist")


def _known_idx(folder: Path, name: str) -> np.ndarray:
    """One MNIST file, refused when its content is not MNIST's: another set must not pass under this name."""
    path = find_idx(folder, name) or folder / name
    content = read_idx_content(path)
    if hashlib.sha256(content).hexdigest() != MNIST_FILES[name][0]:
        raise InputFileError(
            f"{path}: is a valid IDX file but not MNIST's (its sha256 differs): for other digits pass the folder or "
            f"file as digits=PATH, for MNIST itself remove it",
            "digits",
        )
    return array_of(content)


def _mnist_5k(folder: Path, say: Say) -> Glyphs:
    """5 000 training digits of MNIST, 400 a class to train and the last 100 a class to test."""
    fetch_mnist_5k(folder, say)
    path = folder / MNIST_5K_NAME
    if sha256_of(path) != MNIST_5K_SHA256:
        raise InputFileError(f"{path}: has another sha256 than the known {MNIST_5K_NAME}: remove it to fetch it again")
    table = np.loadtxt(io.BytesIO(gzip.decompress(path.read_bytes())), delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    rank = np.zeros(len(labels), int)  # place of each digit among those of its class
    for label in range(10):
        rank[labels == label] = np.arange(np.count_nonzero(labels == label))
    train = rank < 400
    return _glyphs((images[train], labels[train]), (images[~train], labels[~train]), "mnist-5k")


# --- drawn and own digits --------------------------------------------------------------------------------------------


def _cut(drawn: Images, train: int, source: str) -> Glyphs:
    """The first ``train`` of what was drawn to train, the rest to test."""
    images, labels = drawn
    return _glyphs((images[:train], labels[:train]), (images[train:], labels[train:]), source)


def _own(path: Path, seed: int, say: Say) -> Glyphs:
    source = path.resolve().name  # not the whole path: the same digits give the same scene file anywhere
    pair = [find_idx(path, f"{part}-images-idx3-ubyte") for part in ("train", "t10k")]
    if pair[0] and pair[1]:
        train, test = read_idx_pair(pair[0]), read_idx_pair(pair[1])
        if train[0].shape[1:] != test[0].shape[1:]:
            raise InputFileError(
                f"{path}: training digits {train[0].shape[1:]}, test {test[0].shape[1:]}, expected one"
            )
        return _glyphs(train, _unseen(train, test, path, say), source)
    one = pair[0] or pair[1]
    return _glyphs(*_split(read_idx_pair(one) if one else read_source(path), seed), source)


def _unseen(train: Images, test: Images, path: Path, say: Say) -> Images:
    """The test digits without those that are training digits too."""
    seen = {image.tobytes() for image in train[0]}
    keep = np.array([image.tobytes() not in seen for image in test[0]])
    if not keep.all():
        say(f"{path}: {np.count_nonzero(~keep)} test digits are training digits too and were left out")
    return checked(test[0][keep], test[1][keep], path)


def _split(digits: Images, seed: int) -> tuple[Images, Images]:
    """5/6 to train and 1/6 to test by a seeded permutation of the DIFFERENT digits: copies stay on one side."""
    images, labels = digits
    number: dict[bytes, int] = {}
    identity = np.array([number.setdefault(image.tobytes(), len(number)) for image in images])
    chosen = np.random.RandomState(seed).permutation(len(number))[: len(number) // 6]
    test = np.isin(identity, chosen)
    return (images[~test], labels[~test]), (images[test], labels[test])
