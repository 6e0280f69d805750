"""What was found in a person's own pictures, drawn on them with the colours of the steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from airctl.reporting.palette import BLACK, PAPER, step_colour
from airctl.reporting.pictures import scene_tile

_LEGIBLE = 300  # pixels a side that a smaller picture is enlarged to

Edges = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


def annotated(picture: np.ndarray, boxes: Sequence[Edges], probabilities: Sequence[float]) -> Image.Image:
    """``picture`` (uint8 [h, w] or [h, w, 3]) with each box in its step's colour, its number and its probability."""
    zoom = max(1, -(-_LEGIBLE // max(picture.shape[:2])))
    base = Image.fromarray(picture).convert("RGB")
    tile = base.resize((base.width * zoom, base.height * zoom), Image.Resampling.NEAREST)
    width, size = max(2, max(tile.size) // 250), max(13, max(tile.size) // 40)
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(size=size)
    for index, (box, probability) in enumerate(zip(boxes, probabilities, strict=True)):
        x0, y0, x1, y1 = (edge * zoom for edge in box)
        colour, text = step_colour(index), f"{index + 1}: {probability:.0%}"
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=width)
        right, bottom = draw.textbbox((0, 0), text, font=font)[2:]
        x, y = min(x0, tile.width - right - 4), y0 - bottom - 4 if y0 > bottom + 4 else y0
        draw.rectangle((x, y, x + right + 4, y + bottom + 4), fill=colour)
        draw.text((x + 2, y + 2), text, fill=BLACK, font=font)
    return tile


def side_by_side(canvas: np.ndarray, reconstruction: np.ndarray) -> Image.Image:
    """What the model read (uint8 [D, D]) and, to its right, what it drew (in [0, 1]), enlarged."""
    zoom = max(1, -(-_LEGIBLE // len(canvas)))
    tiles = [scene_tile(image, np.empty((0, 4)), zoom) for image in (canvas / 255, reconstruction)]
    both = Image.new("RGB", (2 * tiles[0].width + 6, tiles[0].height), PAPER)
    both.paste(tiles[0], (0, 0))
    both.paste(tiles[1], (tiles[0].width + 6, 0))
    return both
