"""Which pictures a run has, and how they get into its folder ``figures``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from airctl.files import atomic_path
from airctl.reporting import charts, panels, plots
from airctl.reporting.plots import Chart

Record = Mapping[str, Any]
Picture = Image.Image | Chart


def save(pictures: Mapping[str, Picture], folder: Path) -> None:
    """Write each picture as a PNG of its name into ``folder``, each whole or not at all."""
    for name, picture in pictures.items():
        save_png(picture, folder / f"{name}.png")


def save_png(picture: Picture, path: Path) -> None:
    """Write one picture as a PNG, whole or not at all."""
    with atomic_path(path) as part:
        if isinstance(picture, Chart):
            part.write_bytes(plots.png(picture))
        else:
            picture.save(part, format="PNG")


def training_figures(metrics: Sequence[Record], frames: Sequence[Record]) -> dict[str, Picture]:
    """What a run's training shows: ``curves`` and ``figure1``, each if there is anything to draw.

    ``InputFileError`` for frames that hold something else than airctl writes.
    """
    drawn: dict[str, Picture] = {}
    if metrics:
        drawn["curves"] = charts.training_curves(metrics)
    if frames:
        drawn["figure1"] = panels.figure_1(frames)
    return drawn


def gallery_figures(result: Record, gallery: Record) -> dict[str, Picture]:
    """What an evaluation shows: ``confusion``, ``failures``, ``glimpses``, ``prior``, ``traversal``."""
    return {
        "confusion": charts.confusion(result["confusion"]),
        "failures": panels.failures(result["outcomes"], gallery["scenes"]),
        "glimpses": panels.glimpses(gallery["glimpses"]),
        "prior": panels.prior(gallery["prior"]),
        "traversal": panels.traversal(gallery["traversal"]),
    }
