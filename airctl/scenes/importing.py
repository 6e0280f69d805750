"""A person's own pictures cut into scenes to learn from: what ``airctl import`` does.

Every picture is developed, and squares of it are taken at random places: half of them anywhere, half of them around
something bright, so that pictures with few objects teach as much as full ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter

from airctl.config import PictureConfig
from airctl.errors import ConfigError
from airctl.scenes.counted import crop_counts
from airctl.scenes.developing import WORKING_SIZE, choose, develop
from airctl.scenes.digest import sha256_of_arrays
from airctl.scenes.generate import check_output
from airctl.scenes.own_pictures import Picture
from airctl.scenes.spec import NO_COUNT, SceneSplit, scenes_in_a_block
from airctl.scenes.store import write_imported

CANVAS = 50  # pixels a side: room for a handful of objects of the working size
TRAIN, TEST = 18_000, 1_000  # scenes


def import_pictures(
    pictures: Sequence[Picture],
    out: Path,
    how: PictureConfig | None = None,
    *,
    train: int = TRAIN,
    test: int = TEST,
    seed: int = 0,
    force: bool = False,
    counts: Sequence[int | None] | None = None,
) -> PictureConfig:
    """Write random crops of ``pictures`` to the scene file ``out``; returns how the pictures were developed.

    ``how`` is what ``choose`` says of the pictures, by default without any wish. ``counts`` are those of the pictures,
    None where one is not known; scenes have the counts that follow from them (``airctl.scenes.counted``). The same
    pictures and the same seed give the same bytes. Raises ``ConfigError`` if ``out`` exists and ``force`` is not given,
    without pictures, or with counts from which none follows for any scene.
    """
    check_output(out, force)
    if not pictures:
        raise ConfigError("there are no pictures to learn from: name at least one")
    how = how or choose(pictures)
    canvases = [_at_least(develop(picture, how).canvas, CANVAS) for picture in pictures]
    generator = np.random.RandomState(seed)
    places = _places(canvases, train + test, CANVAS, generator)
    known = np.full(train + test, NO_COUNT, np.uint8)
    if counts is not None:
        known = crop_counts(counts, [canvas.shape == (CANVAS, CANVAS) for canvas in canvases], places[:, 0])
        if (known == NO_COUNT).all():
            raise ConfigError(
                f"no scene has a count: expected counts of pictures that fit into a scene ({CANVAS} x {CANVAS} pixels "
                f"with objects of {WORKING_SIZE:g}), or of pictures without an object",
                "counts",
            )
    told: dict[str, int | float | str] = {
        "train": train,
        "test": test,
        "canvas": CANVAS,
        "seed": seed,
        "object_size": WORKING_SIZE,
        "digits": f"{len(pictures)} pictures" if len(pictures) > 1 else Path(pictures[0].name).name,
        "digits_sha256": sha256_of_arrays(*canvases),
    }
    parts = [_blocks(canvases, places[part], known[part]) for part in (slice(train), slice(train, None))]
    write_imported(out, parts[0], parts[1], told, how, counted=counts is not None)
    return how


def crops(
    canvases: Sequence[np.ndarray], number: int, side: int, generator: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """``number`` squares of ``side`` pixels from random places of ``canvases`` uint8 [h, w]: [number, side, side].

    And which canvas each is from, [number]. A canvas is chosen with a probability in proportion to its area.
    """
    places = _places(canvases, number, side, generator)
    return _cut(canvases, places, side), places[:, 0]


def _places(canvases: Sequence[np.ndarray], number: int, side: int, generator: np.random.RandomState) -> np.ndarray:
    """Which canvas, and the row and column in it, of each square, int32 [number, 3]."""
    areas = np.array([canvas.size for canvas in canvases], float)
    chosen = generator.choice(len(canvases), number, p=areas / areas.sum()).astype(np.int32)
    places = np.empty((number, 3), np.int32)
    places[:, 0] = chosen
    for which, canvas in enumerate(canvases):
        these = np.flatnonzero(chosen == which)
        if len(these):
            places[these, 1:] = _corners(canvas, len(these), side, generator)
    return places


def _cut(canvases: Sequence[np.ndarray], places: np.ndarray, side: int) -> np.ndarray:
    out = np.empty((len(places), side, side), np.uint8)
    for which in np.unique(places[:, 0]):
        these = np.flatnonzero(places[:, 0] == which)
        windows = np.lib.stride_tricks.sliding_window_view(canvases[which], (side, side))
        out[these] = windows[places[these, 1], places[these, 2]]
    return out


def _blocks(canvases: Sequence[np.ndarray], places: np.ndarray, counts: np.ndarray) -> Iterator[SceneSplit]:
    step = scenes_in_a_block(CANVAS)
    for start in range(0, len(places), step):
        images = _cut(canvases, places[start : start + step], CANVAS)
        yield replace(SceneSplit.uncounted(images), counts=counts[start : start + step])


def _corners(canvas: np.ndarray, number: int, side: int, generator: np.random.RandomState) -> np.ndarray:
    """Upper left corners [number, 2]: every other one is anywhere, the rest have something bright in their square."""
    room = np.array(canvas.shape) - side + 1
    corners = (generator.uniform(size=(number, 2)) * room).astype(int)
    bright = uniform_filter(canvas.astype(np.float32), 3).clip(0).ravel().astype(np.float64) ** 2
    if bright.any():
        around = generator.choice(canvas.size, number, p=bright / bright.sum())
        within = generator.randint(0, side, (number, 2))
        near = np.stack(np.unravel_index(around, canvas.shape), 1) - within
        corners[1::2] = near.clip(0, room - 1)[1::2]
    found: np.ndarray = corners
    return found


def _at_least(canvas: np.ndarray, side: int) -> np.ndarray:
    """``canvas`` with black to its right and below it where it is smaller than ``side``."""
    height, width = canvas.shape
    return np.pad(canvas, ((0, max(0, side - height)), (0, max(0, side - width))))
