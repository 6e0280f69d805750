"""Draw a data file, or what a run finds in it: ``airctl preview``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from airctl import scenes
from airctl.commands.loaded import Loaded, Warn, load, scenes_of
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
    warn: Warn = lambda message: None,
) -> Path:
    """A PNG of the first test scenes with their reconstructions and the boxes in step order; returns its path."""
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
    return _save(picture, Path(out) if out is not None else _usual_place(loaded))


def _usual_place(loaded: Loaded) -> Path:
    name = f"scenes_step_{loaded.step:08d}.png"
    return loaded.folder.figures / name if loaded.is_run else loaded.run.with_name(f"{loaded.run.stem}_{name}")


def draw_data(data: Path | str, *, split: str = "train", out: Path | str | None = None) -> Path:
    """A PNG of a data file, its path returned: the first scenes with true boxes, and counts and pixels of them all."""
    found = scenes.read_split(Path(data), split)
    shown = found.images[:PICTURED] / 255
    counts = np.where(found.counted, found.counts, 0)[:PICTURED].tolist()
    if not counts:
        raise ConfigError(f"split={split}: {data} has no scenes in it, name the other split or another file", "split")
    true = [edges[:n] for edges, n in zip(found.boxes, counts, strict=False)]
    picture = dataset_picture(shown, true, scenes.statistics(found))
    return _save(picture, Path(out) if out is not None else Path(data).with_suffix(".png"))


def _save(picture: Image.Image, out: Path) -> Path:
    with atomic_path(out) as part:
        picture.save(part, format="PNG")
    return out
