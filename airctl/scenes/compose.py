"""Multi-MNIST: digits scaled, placed and added on a canvas ("Experiments with AIR", 2019; Eslami et al. 2016).

For each digit of a scene: an index, uniform; a scale s = 0.1 * randn + 1.3 (glyph side / side in the scene); its side
int(28 / s); a row and then a column offset, uniform on 0 .. canvas - side - 1. Digits are added. A scene with any pixel
over 255 is thrown away and drawn again with the same count. The random stream is NumPy's legacy ``RandomState``, whose
values never change.

n scenes of M = max(1, max_digits) objects at most, on a canvas of H = W = ``canvas`` pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from airctl.errors import ConfigError
from airctl.scenes.glyphs import Glyphs

MAX_REDRAWS = 10_000
TRIALS_KEPT = 20  # scenes of the highest count that a trial keeps before it ends: the rate within a quarter or so
MAX_SCALE = 100.0
SDS_ABOVE_ZERO = 6  # of the scale: one draw in 10^9 is further off
MAX_CANVAS = 4096
MAX_IMAGE_BYTES = 2**34
NO_LABEL = 255

Progress = Callable[[int], object]  # called with the number of scenes that are newly done
Resize = Callable[[np.ndarray, int, int], np.ndarray]  # uint8 [h, w], rows, columns -> uint8 [rows, columns]


# --- the two resamplings ---------------------------------------------------------------------------------------------


def resize_bilinear(digit: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Stretch to 0..255, then Pillow's BILINEAR (a triangle filter as wide as the shrinking asks for).

    This is what ``scipy.misc.imresize`` did to a float image, with which the report's data were made.
    """
    low, high = int(digit.min()), int(digit.max())
    if high > low and (low, high) != (0, 255):
        digit = ((digit - float(low)) * (255.0 / (high - low)) + 0.5).astype(np.uint8)
    return np.asarray(Image.fromarray(digit).resize((columns, rows), Image.Resampling.BILINEAR))


def resize_nearest(digit: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Nearest neighbour as Pillow did it before 7.0, with which Pyro's published scenes were made."""
    resized: np.ndarray = digit[_nearest(digit.shape[0], rows)[:, None], _nearest(digit.shape[1], columns)]
    return resized


@lru_cache
def _nearest(size: int, side: int) -> np.ndarray:
    """Source index of each target pixel: starts at a / 2, a = size / side, and is accumulated, rounding included."""
    step = size / side
    position = step / 2
    index = []
    for _ in range(side):
        index.append(min(int(position), size - 1))
        position += step
    return np.array(index)


# --- what is asked for and what is given -----------------------------------------------------------------------------


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

    def object_size(self, glyphs: Glyphs) -> float | None:
        """The side in pixels of an object of mean scale with its margin, which a glyph has; None without objects."""
        return max(glyphs.train_images.shape[1:]) / self.scale_mean if self.max_digits else None

    @property
    def slots(self) -> int:
        """M: the room for objects in each scene's arrays, at least 1 because HDF5 chunks cannot be empty."""
        return max(1, self.max_digits)


@dataclass(frozen=True)
class SceneSplit:
    """Scenes with their ground truth; slots from ``counts`` on are padding. Objects stand in the order of drawing."""

    images: np.ndarray  # uint8 [n, H, W]
    counts: np.ndarray  # uint8 [n]
    labels: np.ndarray  # uint8 [n, M], padded with 255
    boxes: np.ndarray  # int16 [n, M, 4]: x0, y0, x1, y1 in pixels, x1 and y1 exclusive, padded with -1
    scales: np.ndarray  # float32 [n, M]: s, a digit's side is int(28 / s); padded with 0
    digit_index: np.ndarray  # int32 [n, M]: place in the split's glyphs, padded with -1

    @staticmethod
    def blank(scenes: int, spec: SceneSpec) -> SceneSplit:
        """Black scenes without objects, to be filled in."""
        shape = (scenes, spec.slots)
        return SceneSplit(
            images=np.zeros((scenes, spec.canvas, spec.canvas), np.uint8),
            counts=np.zeros(scenes, np.uint8),
            labels=np.full(shape, NO_LABEL, np.uint8),
            boxes=np.full((*shape, 4), -1, np.int16),
            scales=np.zeros(shape, np.float32),
            digit_index=np.full(shape, -1, np.int32),
        )


@dataclass(frozen=True)
class Placed:
    """One digit on its canvas: its upper left corner and its resized pixels."""

    index: int
    scale: float
    row: int
    column: int
    pixels: np.ndarray  # uint8 [rows, columns]

    def box(self) -> tuple[int, int, int, int]:
        """The tight box of the ink (pixels > 0); the whole square if resizing left no ink."""
        ink = self.pixels > 0
        if not ink.any():
            ink = np.ones_like(ink)
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        return (
            self.column + int(columns[0]),
            self.row + int(rows[0]),
            self.column + int(columns[-1]) + 1,
            self.row + int(rows[-1]) + 1,
        )


# --- drawing ---------------------------------------------------------------------------------------------------------


def compose_scenes(spec: SceneSpec, glyphs: Glyphs, progress: Progress | None = None) -> tuple[SceneSplit, SceneSplit]:
    """The training and the test scenes, from one running random stream, training first.

    Raises ``ConfigError`` when digits do not fit the canvas or a scene cannot be drawn in a bounded number of tries.
    """
    _check_sizes(spec, glyphs)
    _check_room(spec, glyphs)
    rng = np.random.RandomState(spec.seed)
    train = _compose_split(rng, spec, spec.train, glyphs.train_images, glyphs.train_labels, progress)
    test = _compose_split(rng, spec, spec.test, glyphs.test_images, glyphs.test_labels, progress)
    return train, test


def acceptance(spec: SceneSpec, glyphs: Glyphs) -> tuple[int, int]:
    """(kept, tried): how many of so many scenes of ``max_digits`` digits have no pixel over 255.

    Ends with ``TRIALS_KEPT`` scenes kept or ``MAX_REDRAWS`` tried, and has a random stream of its own.
    """
    rng = np.random.RandomState(spec.seed)
    images = glyphs.train_images if spec.train else glyphs.test_images
    kept = tried = 0
    while kept < TRIALS_KEPT and tried < MAX_REDRAWS:
        kept += _try_scene(rng, images, spec.max_digits, spec) is not None
        tried += 1
    return kept, tried


def _check_sizes(spec: SceneSpec, glyphs: Glyphs) -> None:
    """Refuse before any work what even a digit of mean scale cannot do."""
    if spec.max_digits == 0:
        return
    for name, scenes, images in (
        ("training", spec.train, glyphs.train_images),
        ("test", spec.test, glyphs.test_images),
    ):
        if scenes and not len(images):
            raise ConfigError(
                f"{glyphs.source} has no {name} digits for {scenes} {name} scenes: give more digits or ask for 0 scenes"
            )
    height, width = glyphs.train_images.shape[1:]
    _check_fit(int(height / spec.scale_mean), int(width / spec.scale_mean), height, width, spec)


def _check_fit(rows: int, columns: int, height: int, width: int, spec: SceneSpec) -> None:
    if min(rows, columns) < 1:
        raise ConfigError(
            f"digits of {height} x {width} pixels vanish when scaled by 1/{spec.scale_mean:g}: give larger ones"
        )
    if max(rows, columns) >= spec.canvas:
        enough = int(max(height, width) / (spec.scale_mean - 5 * spec.scale_sd)) + 1
        raise ConfigError(
            f"a digit of {rows} x {columns} pixels does not fit a canvas of {spec.canvas} x {spec.canvas}: "
            f"canvas={enough} or more has room",
            "canvas",
        )


def _check_room(spec: SceneSpec, glyphs: Glyphs) -> None:
    """Refuse a crowd that rejection would probably not get through.

    A scene is given up after R = MAX_REDRAWS tries. With a share a of all scenes kept, S scenes of the highest count
    lead one to expect S (1 - a)^R that are given up; half a scene is too many.
    """
    if spec.max_digits < 2:
        return
    kept, tried = acceptance(spec, glyphs)
    scenes = (spec.train + spec.test) / (spec.max_digits - spec.min_digits + 1)
    if scenes * (1 - kept / tried) ** MAX_REDRAWS > 0.5:
        raise ConfigError(
            f"of {tried} trial scenes of {spec.max_digits} digits on a canvas of {spec.canvas} x {spec.canvas}, {kept} "
            "had no pixel over 255: use a larger canvas, fewer digits or smaller ones (scale_mean=2 halves them)",
            "scale_mean",
        )


def _compose_split(
    rng: np.random.RandomState,
    spec: SceneSpec,
    scenes: int,
    images: np.ndarray,
    labels: np.ndarray,
    progress: Progress | None,
) -> SceneSplit:
    split = SceneSplit.blank(scenes, spec)
    low, high = spec.min_digits, spec.max_digits + 1
    counts = rng.randint(low, high, size=scenes) if PRESETS[spec.preset].counts_first and scenes else None
    for i in range(scenes):
        count = int(rng.randint(low, high) if counts is None else counts[i])
        split.images[i], placed = _draw_scene(rng, images, count, spec)
        split.counts[i] = count
        for slot, digit in enumerate(placed):
            split.labels[i, slot] = labels[digit.index]
            split.boxes[i, slot] = digit.box()
            split.scales[i, slot] = digit.scale
            split.digit_index[i, slot] = digit.index
        if progress is not None:
            progress(1)
    return split


def _draw_scene(
    rng: np.random.RandomState, images: np.ndarray, count: int, spec: SceneSpec
) -> tuple[np.ndarray, list[Placed]]:
    """A canvas uint8 [H, W] and its digits, drawn again until no pixel is over 255."""
    for _ in range(MAX_REDRAWS):
        scene = _try_scene(rng, images, count, spec)
        if scene is not None:
            return scene
    raise ConfigError(
        f"{count} digits found no room on a canvas of {spec.canvas} x {spec.canvas} in {MAX_REDRAWS} tries: "
        "use a larger canvas or fewer digits"
    )


def _try_scene(
    rng: np.random.RandomState, images: np.ndarray, count: int, spec: SceneSpec
) -> tuple[np.ndarray, list[Placed]] | None:
    """One draw of a scene; None if a pixel is over 255.

    All its random numbers are drawn first, so that a scene can be given up at the first such pixel without changing
    the stream: most crowded scenes cost only the resizing of their first digits.
    """
    resize = PRESETS[spec.preset].resize
    drawn = [_draw_place(rng, images, spec) for _ in range(count)]
    canvas = np.zeros((spec.canvas, spec.canvas), np.uint16)  # two uint8 add up to 510 at most
    placed = []
    for index, scale, rows, columns, row, column in drawn:
        digit = Placed(index, scale, row, column, resize(images[index], rows, columns))
        under = canvas[row : row + rows, column : column + columns]
        under += digit.pixels
        if under.max() > 255:
            return None
        placed.append(digit)
    return canvas.astype(np.uint8), placed


def _draw_place(
    rng: np.random.RandomState, images: np.ndarray, spec: SceneSpec
) -> tuple[int, float, int, int, int, int]:
    """Index, scale, rows, columns, row and column of one digit."""
    index = int(rng.randint(len(images)))
    scale = float(spec.scale_sd * rng.randn() + spec.scale_mean)
    height, width = images.shape[1:]
    rows, columns = int(height / scale), int(width / scale)
    _check_fit(rows, columns, height, width, spec)
    row = int(rng.randint(0, spec.canvas - rows))
    column = int(rng.randint(0, spec.canvas - columns))
    return index, scale, rows, columns, row, column
