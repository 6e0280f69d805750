"""Multi-MNIST: digits scaled, placed and added on a canvas ("Experiments with AIR", 2019; Eslami et al. 2016).

For each digit of a scene: an index, uniform; a scale s = 0.1 * randn + 1.3 (glyph side / side in the scene); its side
int(28 / s); a row and then a column offset, uniform on 0 .. canvas - side - 1. Digits are added. A scene with any pixel
over 255 is thrown away and drawn again with the same count. The random stream is NumPy's legacy ``RandomState``, whose
values never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from airctl.errors import ConfigError
from airctl.scenes.glyphs import Glyphs
from airctl.scenes.spec import PRESETS, SceneSpec, SceneSplit, scenes_in_a_block

MAX_REDRAWS = 10_000
TRIALS_KEPT = 20  # scenes of the highest count that a trial keeps before it ends: the rate within a quarter or so

Progress = Callable[[int], object]  # called with the number of scenes that are newly done


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


def compose_scenes(spec: SceneSpec, glyphs: Glyphs, progress: Progress | None = None) -> tuple[SceneSplit, SceneSplit]:
    """The training and the test scenes, from one running random stream, training first.

    Raises ``ConfigError`` when digits do not fit the canvas or a scene cannot be drawn in a bounded number of tries.
    """
    train, test = compose_blocks(spec, glyphs, progress)
    return SceneSplit.joined(train, spec), SceneSplit.joined(test, spec)


def compose_blocks(
    spec: SceneSpec, glyphs: Glyphs, progress: Progress | None = None
) -> tuple[Iterator[SceneSplit], Iterator[SceneSplit]]:
    """The same scenes a block at a time. They share the random stream: the training scenes have to be taken first."""
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
) -> Iterator[SceneSplit]:
    low, high = spec.min_digits, spec.max_digits + 1
    counts_first = PRESETS[spec.preset].counts_first and scenes
    counts = rng.randint(low, high, size=scenes).astype(np.uint8) if counts_first else None
    step = scenes_in_a_block(spec.canvas)
    for start in range(0, scenes, step):
        block = SceneSplit.blank(min(step, scenes - start), spec)
        for i in range(len(block.counts)):
            count = int(rng.randint(low, high) if counts is None else counts[start + i])
            block.images[i], placed = _draw_scene(rng, images, count, spec)
            block.counts[i] = count
            for slot, digit in enumerate(placed):
                block.labels[i, slot] = labels[digit.index]
                block.boxes[i, slot] = digit.box()
                block.scales[i, slot] = digit.scale
                block.digit_index[i, slot] = digit.index
            if progress is not None:
                progress(1)
        yield block


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
