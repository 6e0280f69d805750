"""Draw a data file, or what a run finds in it: ``airctl preview``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from airctl import scenes
from airctl.commands.loaded import WEIGHTS, Loaded, Warn, load, scenes_of
from airctl.commands.output_paths import require_free, require_no_file_of
from airctl.files import atomic_path
from airctl.inference import find
from airctl.reporting.dataset import dataset_picture
from airctl.reporting.pictures import scene_grid

PICTURED = 16  # scenes in a picture


def draw_run(
    run: Path | str,
    *,
    data: Path | str | None = None,
    checkpoint: str = "last",
    out: Path | str | None = None,
    force: bool = False,
    warn: Warn = lambda message: None,
) -> Path:
    """A PNG of the first test scenes with their reconstructions and the boxes in step order; returns its path.

    By default it is a figure of the run. ``ConfigError`` for an ``out`` that exists unless ``force`` replaces it,
    and for any other file of the run.
    """
    _check(out, force)
    loaded = load(run, checkpoint)
    shown = scenes_of(loaded, data, "test", warn, PICTURED)
    found = find(loaded.model, shown.images, loaded.log_p(), shown.path.parent)
    picture = scene_grid(
        shown.split.images[:],
        found.drawn[:],
        [edges[:n] for edges, n in zip(found.glimpses, found.counts.tolist(), strict=True)],
        shown.split.counts if shown.split.counted.all() else None,
    )
    usual = _usual_place(loaded)
    if out is None:
        return _save(picture, usual, replace=True)
    if loaded.is_run and Path(out).resolve() != usual.resolve():
        require_no_file_of(loaded.run, Path(out))
    return _save(picture, Path(out), force)


def _usual_place(loaded: Loaded) -> Path:
    name = f"scenes_step_{loaded.step:08d}.png"
    if loaded.is_run:
        return loaded.folder.figures / name
    folder = Path() if loaded.run.parent == WEIGHTS else loaded.run.parent  # nothing is written into the package
    return folder / f"{loaded.run.stem}_{name}"


def draw_data(data: Path | str, *, split: str = "train", out: Path | str | None = None, force: bool = False) -> Path:
    """A PNG of a data file, its path returned: the first scenes with true boxes, and counts and pixels of them all.

    By default it lies beside the file. ``ConfigError`` for a picture that exists, unless ``force`` replaces it.
    """
    out = Path(out) if out is not None else Path(data).with_suffix(".png")
    _check(out, force)
    first: list[scenes.SceneSplit] = []
    with scenes.open_split(Path(data), split) as stored:
        told = scenes.statistics(_noting(stored.blocks(), first))
    images = np.concatenate([block.images for block in first])
    true = [
        edges[: n if known else 0]
        for block in first
        for edges, n, known in zip(block.boxes, block.counts, block.counted, strict=True)
    ]
    picture = dataset_picture(images, true, told)
    return _save(picture, out, force)


def _noting(blocks: Iterator[scenes.SceneSplit], first: list[scenes.SceneSplit]) -> Iterator[scenes.SceneSplit]:
    """``blocks`` as they are; their first ``PICTURED`` scenes are put into ``first``."""
    missing = PICTURED
    for block in blocks:
        if missing:
            first.append(next(block.blocks(missing)))
            missing -= len(first[-1].counts)
        yield block


def _check(out: Path | str | None, force: bool) -> None:
    if out is not None:
        require_free([Path(out)], force)  # before anything is drawn


def _save(picture: Image.Image, out: Path, replace: bool) -> Path:
    with atomic_path(out, replace) as part:
        picture.save(part, format="PNG")
    return out
