"""A data file at a glance: scenes with their true boxes above the histograms of their counts and pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from airctl.reporting.charts import dataset_histograms
from airctl.reporting.palette import PAPER
from airctl.reporting.pictures import scene_grid
from airctl.reporting.plots import png

_LEAST = 1040  # pixels across that the histograms and the words beside them want


def dataset_picture(images: np.ndarray, boxes: list[np.ndarray], statistics: Mapping[str, Any]) -> Image.Image:
    """``images`` uint8 [S, D, D] with their true ``boxes``, over the histograms of ``scenes.statistics``."""
    grid = scene_grid(images, None, boxes, None)
    width = max(grid.width, _LEAST)
    chart = dataset_histograms(statistics, statistics_lines(statistics), width)
    with Image.open(io.BytesIO(png(chart))) as opened:
        below = opened.convert("RGB")
    below = below.resize((width, below.height * width // below.width), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (width, grid.height + below.height + 10), PAPER)
    picture.paste(grid, (0, 0))
    picture.paste(below, (0, grid.height + 10))
    return picture


def statistics_lines(statistics: Mapping[str, Any]) -> list[str]:
    """The numbers of ``scenes.statistics`` in words."""
    by_count = ", ".join(f"{n}: {value:.1f}" for n, value in statistics["mean_pixel_by_count"].items())
    lines = [
        f"{statistics['scenes']} scenes, counts {statistics['counts'] or 'unknown'}",
        f"pixels: mean {statistics['mean_pixel']:.2f}, sd {statistics['pixel_sd']:.2f} (0 to 255)",
        f"black {statistics['black']:.1%}, white {statistics['white']:.2%}",
    ]
    if by_count:
        lines.append(f"mean by count: {by_count}")
    if statistics["mean_box"] is not None:
        lines.append("mean box {:.1f} x {:.1f} pixels".format(*statistics["mean_box"]))
    if statistics["overlap"] is not None:
        lines.append(f"boxes overlap in {statistics['overlap']:.1%} of the scenes with several")
    return lines
