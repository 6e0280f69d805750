"""Which scenes are to be made, and the arrays that they are made as.

n scenes of M = max(1, max_digits) objects at most, on a canvas of H = W = ``canvas`` pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from airctl.errors import ConfigError
from airctl.scenes.resize import Resize, resize_bilinear, resize_nearest

MAX_SCALE = 100.0
SDS_ABOVE_ZERO = 6  # of the scale: one draw in 10^9 is further off
MAX_CANVAS = 4096
MAX_IMAGE_BYTES = 2**37  # of a file, on the disk: no more than a block of it is ever in memory
BLOCK_BYTES = 2**20  # of images in a block of scenes, about, and in a chunk of a file
NO_LABEL = 255
NO_COUNT = 255  # of a scene whose objects nobody has counted


@dataclass(frozen=True)
class Preset:
    """One published recipe."""

    seed: int
    counts_first: bool  # all counts of a split before its first scene, or each count before its scene
    resize: Resize


PRESETS = {
    "observations": Preset(seed=42, counts_first=True, resize=resize_bilinear),
    "pyro": Preset(seed=681307, counts_first=False, resize=resize_nearest),
}


@dataclass(frozen=True)
class SceneSpec:
    """Which scenes to make; raises ``ConfigError`` for what cannot be meant."""

    preset: str = "observations"
    train: int = 60_000
    test: int = 10_000
    max_digits: int = 2  # counts are uniform on min_digits .. max_digits
    canvas: int = 50  # pixels a side
    seed: int | None = None  # None takes the preset's own
    min_digits: int = 0
    scale_mean: float = 1.3  # of s = glyph side / side in the scene: 2 halves the digits
    scale_sd: float = 0.1

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"no preset {self.preset!r}: expected one of {', '.join(PRESETS)}")
        if self.seed is None:
            object.__setattr__(self, "seed", PRESETS[self.preset].seed)
        self._check_range("seed", self.seed or 0, 0, 2**32 - 1)
        self._check_range("max_digits", self.max_digits, 0, 9)
        self._check_range("min_digits", self.min_digits, 0, 9)
        if self.min_digits > self.max_digits:
            raise ConfigError(
                f"min_digits={self.min_digits} is more than max_digits={self.max_digits}", "min_digits", "max_digits"
            )
        self._check_range("scale_mean", self.scale_mean, 0.01, MAX_SCALE)
        self._check_range("scale_sd", self.scale_sd, 0, MAX_SCALE)
        if self.scale_sd * SDS_ABOVE_ZERO > self.scale_mean:
            raise ConfigError(
                f"scale_sd={self.scale_sd} would draw scales of 0 and less around {self.scale_mean}: "
                f"expected at most {self.scale_mean / SDS_ABOVE_ZERO:.3g}",
                "scale_sd",
            )
        self._check_range("canvas", self.canvas, 2, MAX_CANVAS)
        self._check_range("train", self.train, 0, 10**9)
        self._check_range("test", self.test, 0, 10**9)
        if self.train + self.test == 0:
            raise ConfigError("train=0 and test=0 ask for no scenes at all: give at least one of them", "train", "test")
        if (self.train + self.test) * self.canvas**2 > MAX_IMAGE_BYTES:
            raise ConfigError(
                f"{self.train + self.test} scenes of {self.canvas} x {self.canvas} pixels are over "
                f"{MAX_IMAGE_BYTES // 2**30} GiB: ask for fewer scenes or a smaller canvas"
            )

    @staticmethod
    def _check_range(name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise ConfigError(f"{name}={value} is out of range: expected {low} .. {high}", name)

    @property
    def slots(self) -> int:
        """M: the room for objects in each scene's arrays, at least 1 because HDF5 chunks cannot be empty."""
        return max(1, self.max_digits)


def scenes_in_a_block(canvas: int) -> int:
    """How many scenes of ``canvas`` pixels a side are made, written and read at once."""
    return max(1, BLOCK_BYTES // canvas**2)


@dataclass(frozen=True)
class SceneSplit:
    """Scenes with their ground truth; slots from ``counts`` on are padding. Objects stand in the order of drawing."""

    images: np.ndarray  # uint8 [n, H, W]
    counts: np.ndarray  # uint8 [n]; NO_COUNT where it is unknown
    labels: np.ndarray  # uint8 [n, M], padded with 255
    boxes: np.ndarray  # int16 [n, M, 4]: x0, y0, x1, y1 in pixels, x1 and y1 exclusive, padded with -1
    scales: np.ndarray  # float32 [n, M]: s, a digit's side is int(28 / s); padded with 0
    digit_index: np.ndarray  # int32 [n, M]: place in the split's glyphs, padded with -1

    @property
    def counted(self) -> np.ndarray:
        """Of which scenes the true count is known, bool [n]."""
        known: np.ndarray = self.counts != NO_COUNT
        return known

    def blocks(self, scenes: int | None = None) -> Iterator[SceneSplit]:
        """The scenes in turn, so many at a time; by default a block."""
        step = scenes or scenes_in_a_block(self.images.shape[1])
        for start in range(0, len(self.counts), step):
            yield SceneSplit(*(getattr(self, field.name)[start : start + step] for field in fields(self)))

    @staticmethod
    def joined(blocks: Iterable[SceneSplit], spec: SceneSpec) -> SceneSplit:
        """All scenes of ``blocks``; those of no scenes are of the shapes that ``spec`` says."""
        parts = [SceneSplit.blank(0, spec), *blocks]
        return SceneSplit(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(SceneSplit)))

    @staticmethod
    def uncounted(images: np.ndarray) -> SceneSplit:
        """``images`` uint8 [n, H, W] of which nothing is known."""
        blank = SceneSplit._blank(images, 1)
        blank.counts[:] = NO_COUNT
        return blank

    @staticmethod
    def blank(scenes: int, spec: SceneSpec) -> SceneSplit:
        """Black scenes without objects, to be filled in."""
        return SceneSplit._blank(np.zeros((scenes, spec.canvas, spec.canvas), np.uint8), spec.slots)

    @staticmethod
    def _blank(images: np.ndarray, slots: int) -> SceneSplit:
        shape = (len(images), slots)
        return SceneSplit(
            images=images,
            counts=np.zeros(len(images), np.uint8),
            labels=np.full(shape, NO_LABEL, np.uint8),
            boxes=np.full((*shape, 4), -1, np.int16),
            scales=np.zeros(shape, np.float32),
            digit_index=np.full(shape, -1, np.int32),
        )
