"""A person's own pictures cut into scenes to learn from: what ``airctl import`` does.

Every picture is developed, and squares of it are taken at random places: half of them anywhere, half of them around
something bright, so that pictures with few objects teach as much as full ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter

from airctl.config import PictureConfig
from airctl.errors import ConfigError
from airctl.scenes.counted import crop_counts
from airctl.scenes.developing import WORKING_SIZE, choose, develop
from airctl.scenes.generate import check_output
from airctl.scenes.glyphs import sha256_of_arrays
from airctl.scenes.own import Picture
from airctl.scenes.spec import NO_COUNT, SceneSplit
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
    images, cut_from = crops(canvases, train + test, CANVAS, np.random.RandomState(seed))
    splits = SceneSplit.uncounted(images[:train]), SceneSplit.uncounted(images[train:])
    if counts is not None:
        whole = [canvas.shape == (CANVAS, CANVAS) for canvas in canvases]
        known = crop_counts(counts, whole, cut_from)
        if (known == NO_COUNT).all():
            raise ConfigError(
                f"no scene has a count: expected counts of pictures that fit into a scene ({CANVAS} x {CANVAS} pixels "
                f"with objects of {WORKING_SIZE:g}), or of pictures without an object",
                "counts",
            )
        for split, part in zip(splits, np.split(known, [train]), strict=True):
            split.counts[:] = part
    source = f"{len(pictures)} pictures" if len(pictures) > 1 else Path(pictures[0].name).name
    write_imported(out, *splits, how, WORKING_SIZE, seed, source, sha256_of_arrays(*canvases))
    return how


def crops(
    canvases: Sequence[np.ndarray], number: int, side: int, generator: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """``number`` squares of ``side`` pixels from random places of ``canvases`` uint8 [h, w]: [number, side, side].

    And which canvas each is from, [number]. A canvas is chosen with a probability in proportion to its area.
    """
    areas = np.array([canvas.size for canvas in canvases], float)
    chosen = generator.choice(len(canvases), number, p=areas / areas.sum())
    out = np.empty((number, side, side), np.uint8)
    for which, canvas in enumerate(canvases):
        places = np.flatnonzero(chosen == which)
        if len(places):
            corners = _corners(canvas, len(places), side, generator)
            out[places] = np.lib.stride_tricks.sliding_window_view(canvas, (side, side))[corners[:, 0], corners[:, 1]]
    return out, chosen


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
