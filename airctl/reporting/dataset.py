"""A data file at a glance: scenes with their true boxes, how many objects there are, how bright the pixels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from airctl.reporting.pictures import scene_grid

_INK, _PAPER, _BAR, _FAINT = "#222222", "#FFFFFF", "#56B4E9", "#DDDDDD"
_HIGH, _BELOW = 120, 60  # of the bars, and of the words under them


def dataset_picture(images: np.ndarray, boxes: list[np.ndarray], told: Mapping[str, Any]) -> Image.Image:
    """``images`` [S, D, D] in [0, 1] with their true ``boxes``, over the histograms of ``scenes.statistics``."""
    grid = scene_grid(images, None, boxes, None)
    total = max(1, told["scenes"])
    counts = [(str(n), many, f"{many / total:.0%}") for n, many in enumerate(told["counts"])]
    bins = told["pixel_histogram"]
    step = 256 // len(bins)
    shares = [(str(i * step) if i % 4 == 0 else "", np.log10(1 + many), "") for i, many in enumerate(bins)]
    width = max(grid.width, 1040)
    picture = Image.new("RGB", (width, grid.height + _HIGH + _BELOW + 50), _PAPER)
    picture.paste(grid, (0, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    top = grid.height + 20
    _bars(draw, font, 100, top, 70 * len(counts), counts, "objects in a scene")
    left = 160 + max(140, 70 * len(counts))
    _bars(draw, font, left, top, 24 * len(bins), shares, f"pixel values, {step} a bar, logarithmic")
    for index, line in enumerate(statistics_lines(told)):
        draw.text((left + 24 * len(bins) + 40, top + 20 * index), line, fill=_INK, font=font)
    return picture


def statistics_lines(told: Mapping[str, Any]) -> list[str]:
    """The numbers of ``scenes.statistics`` in words."""
    by_count = ", ".join(f"{n}: {value:.1f}" for n, value in told["mean_pixel_by_count"].items())
    lines = [
        f"{told['scenes']} scenes, counts {told['counts']}",
        f"pixels: mean {told['mean_pixel']:.2f}, sd {told['pixel_sd']:.2f} of 0 to 255",
        f"black {told['black']:.1%}, white {told['white']:.2%}",
        f"mean by count: {by_count}",
    ]
    if told["mean_box"] is not None:
        lines.append("mean box {:.1f} x {:.1f} pixels".format(*told["mean_box"]))
    if told["overlap"] is not None:
        lines.append(f"boxes overlap in {told['overlap']:.1%} of the scenes with several")
    return lines


def _bars(
    draw: ImageDraw.ImageDraw, font: Any, x: int, y: int, width: int, bars: Sequence[tuple[str, float, str]], title: str
) -> None:
    """Bars as high as their values, each with a name below and a word above."""
    most = max((value for _, value, _ in bars), default=0) or 1
    each = width / max(1, len(bars))
    draw.line((x, y + _HIGH + 18, x + width, y + _HIGH + 18), fill=_FAINT)
    for index, (name, value, above) in enumerate(bars):
        left, height = x + index * each, _HIGH * value / most
        bottom = y + _HIGH + 18
        if value > 0:
            draw.rectangle((left + 2, bottom - height, left + each - 3, bottom), fill=_BAR)
        draw.text((left + each / 2, bottom - height - 2), above, fill=_INK, font=font, anchor="mb")
        draw.text((left + each / 2, bottom + 4), name, fill=_INK, font=font, anchor="ma")
    draw.text((x, y + _HIGH + 40), title, fill=_INK, font=font)
