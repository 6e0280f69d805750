"""Draw a data file, or what a run finds in it: ``airctl preview``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from airctl import scenes
from airctl.commands.loaded import WEIGHTS, Loaded, Warn, load, scenes_of
from airctl.commands.places import require_free, require_no_file_of
from airctl.errors import ConfigError
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
    shown = scenes_of(loaded, data, "test", warn)
    images = shown.images[:PICTURED]
    found = find(loaded.model, images, loaded.log_p())
    picture = scene_grid(
        images.cpu().numpy() / 255,
        found.drawn / 255,
        [edges[:n] for edges, n in zip(found.glimpses, found.counts.tolist(), strict=True)],
        shown.split.counts[:PICTURED] if shown.split.counted.all() else None,
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
    found = scenes.read_split(Path(data), split)
    shown = found.images[:PICTURED] / 255
    counts = np.where(found.counted, found.counts, 0)[:PICTURED].tolist()
    if not counts:
        raise ConfigError(f"split={split}: {data} has no scenes in it, name the other split or another file", "split")
    true = [edges[:n] for edges, n in zip(found.boxes, counts, strict=False)]
    picture = dataset_picture(shown, true, scenes.statistics(found))
    return _save(picture, out, force)


def _check(out: Path | str | None, force: bool) -> None:
    if out is not None:
        require_free([Path(out)], force)  # before anything is drawn


def _save(picture: Image.Image, out: Path, replace: bool) -> Path:
    with atomic_path(out, replace) as part:
        picture.save(part, format="PNG")
    return out
