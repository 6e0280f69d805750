"""What was found in a person's own pictures, drawn on them with the colours of the steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from airctl.reporting.palette import BLACK, PAPER, step_colour
from airctl.reporting.pictures import scene_tile

_LEGIBLE = 300  # pixels a side that a smaller picture is enlarged to
_LARGEST = 4096  # pixels a side of what a model read, however large that was
_FEW, _MANY = 9, 60  # boxes: up to so many their probability is written on them; up to so many their number

Edges = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


def annotated(picture: np.ndarray, boxes: Sequence[Edges], probabilities: Sequence[float]) -> Image.Image:
    """``picture`` (uint8 [h, w] or [h, w, 3]) with each box in its step's colour, its number and its probability.

    Many boxes have their numbers alone, and very many nothing.
    """
    legible = _LEGIBLE if len(boxes) <= _FEW else 3 * _LEGIBLE
    zoom = max(1, -(-legible // max(picture.shape[:2])))
    base = Image.fromarray(picture).convert("RGB")
    tile = base if zoom == 1 else base.resize((base.width * zoom, base.height * zoom), Image.Resampling.NEAREST)
    few = len(boxes) <= _FEW
    width, size = max(2, max(tile.size) // (250 if few else 500)), max(13, max(tile.size) // (40 if few else 60))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(size=size)
    for index, (box, probability) in enumerate(zip(boxes, probabilities, strict=True)):
        x0, y0, x1, y1 = (edge * zoom for edge in box)
        colour, text = step_colour(index), f"{index + 1}: {probability:.0%}" if few else f"{index + 1}"
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=width)
        if len(boxes) > _MANY:
            continue
        right, bottom = draw.textbbox((0, 0), text, font=font)[2:]
        x, y = min(x0, tile.width - right - 4), y0 - bottom - 4 if y0 > bottom + 4 else y0
        draw.rectangle((x, y, x + right + 4, y + bottom + 4), fill=colour)
        draw.text((x + 2, y + 2), text, fill=BLACK, font=font)
    return tile


def with_scale(picture: np.ndarray, diameter: float) -> Image.Image:
    """``picture`` (uint8 [h, w] or [h, w, 3]) with a circle of ``diameter`` pixels in its upper left corner."""
    shown = Image.fromarray(picture).convert("RGB")
    draw, width = ImageDraw.Draw(shown), max(1, max(shown.size) // 300)
    edge = 2 * width
    draw.ellipse((edge, edge, edge + diameter, edge + diameter), outline=step_colour(0), width=width)
    draw.text((edge + diameter + 4, edge), f"{diameter:.3g} px", fill=step_colour(0))
    return shown


def side_by_side(canvas: np.ndarray, reconstruction: np.ndarray) -> Image.Image:
    """What the model read (uint8 [D, D]) and, to its right, what it drew (in [0, 1]), enlarged or made smaller."""
    zoom = min(max(1, -(-_LEGIBLE // len(canvas))), _LARGEST / max(canvas.shape))
    tiles = [scene_tile(image, np.empty((0, 4)), zoom) for image in (canvas, reconstruction)]
    both = Image.new("RGB", (2 * tiles[0].width + 6, tiles[0].height), PAPER)
    both.paste(tiles[0], (0, 0))
    both.paste(tiles[1], (tiles[0].width + 6, 0))
    return both
