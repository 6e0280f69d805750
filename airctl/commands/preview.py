"""Draw a data file, or what a run finds in it: ``airctl preview``."""

from __future__ import annotations

from pathlib import Path

import torch

from airctl import scenes
from airctl.commands.loaded import load, scenes_of
from airctl.errors import ConfigError
from airctl.files import atomic_path
from airctl.model import boxes
from airctl.reporting.dataset import dataset_picture
from airctl.reporting.pictures import scene_grid

PICTURED = 16  # scenes in a picture


def draw_run(run: Path | str, *, data: Path | None = None, checkpoint: str = "last", out: Path | None = None) -> Path:
    """A PNG of the first test scenes with their reconstructions and the boxes in step order; returns its path."""
    loaded = load(run, checkpoint)
    _, images, held_out = scenes_of(loaded, data, "test")
    shown = images[:PICTURED]
    objects, terms, _ = next(explanations(loaded.model, shown, loaded.log_p()))
    found = terms.log_q.argmax(1)
    canvases = objects.canvases[torch.arange(len(shown)), found]
    edges = boxes(objects.z_where, shown.shape[-1]).cpu().numpy()
    picture = scene_grid(
        shown.cpu().numpy() / 255,
        canvases.cpu().numpy(),
        [edge[:n] for edge, n in zip(edges, found.tolist(), strict=True)],
        held_out.counts[:PICTURED],
    )
    out = out or loaded.folder.figures / f"scenes_step_{loaded.step:08d}.png"
    with atomic_path(out) as part:
        picture.save(part, format="PNG")
    return out


def draw_data(data: Path | str, *, split: str = "train", out: Path | None = None) -> Path:
    """A PNG of a data file, its path returned: the first scenes with true boxes, and counts and pixels of them all."""
    found = scenes.read_split(Path(data), split)
    shown, counts = found.images[:PICTURED] / 255, found.counts[:PICTURED].tolist()
    if not counts:
        raise ConfigError(f"{data} has no scenes in its {split} split: name another --split or file")
    true = [edges[:n] for edges, n in zip(found.boxes, counts, strict=False)]
    picture = dataset_picture(shown, true, scenes.statistics(found))
    out = out or Path(data).with_suffix(".png")
    with atomic_path(out) as part:
        picture.save(part, format="PNG")
    return out
