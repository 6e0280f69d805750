"""Pictures of scenes, drawn with Pillow. Step 1, 2, 3... have the same colours in every picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from airctl.reporting.palette import PAPER, PICTURE_INK, WRONG, step_colour

LARGEST = 400  # pixels a side of a scene among others, however large its canvas


def scene_tile(image: np.ndarray, boxes: np.ndarray, zoom: float) -> Image.Image:
    """``image`` [D, D], uint8 or in [0, 1], enlarged ``zoom`` times, with ``boxes`` [n, 4] in pixels of the canvas.

    Each box has the colour of its step. A ``zoom`` below 1 makes the scene smaller.
    """
    grey = Image.fromarray(image if image.dtype == np.uint8 else _bytes(image))
    size = max(1, round(grey.width * zoom)), max(1, round(grey.height * zoom))
    tile = grey.resize(size, Image.Resampling.NEAREST if zoom >= 1 else Image.Resampling.BOX).convert("RGB")
    draw = ImageDraw.Draw(tile)
    for index, box in enumerate(boxes):
        x0, y0, x1, y1 = (float(edge) * zoom for edge in box)
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=step_colour(index), width=2)
    return tile


def _bytes(image: np.ndarray) -> np.ndarray:
    """``image`` [H, W] in [0, 1] as uint8, row by row: floats of a large canvas are large."""
    out = np.empty(image.shape, np.uint8)
    for row, values in zip(out, image, strict=True):
        row[...] = np.clip(values, 0, 1) * 255
    return out


def scene_grid(
    images: np.ndarray,
    reconstructions: np.ndarray | None,
    boxes: list[np.ndarray],
    true_counts: np.ndarray | None,
    columns: int = 8,
    zoom: float = 3,
) -> Image.Image:
    """Scenes above their reconstructions, boxes in step order, each with its inferred and its true count.

    ``images`` and ``reconstructions`` [S, D, D], uint8 or in [0, 1]; ``boxes`` S arrays [n, 4]: as many boxes as were
    counted. Without reconstructions the boxes are the true ones. No scene is larger than ``LARGEST``.
    """
    zoom = min(zoom, LARGEST / images.shape[1])
    side, gap, caption = max(1, round(images.shape[1] * zoom)), 6, 18
    rows = -(-len(images) // columns)
    height = caption + (1 if reconstructions is None else 2) * side + 3 * gap
    margin = 96
    picture = Image.new("RGB", (margin + columns * (side + gap) + gap, rows * height + 26), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    for index, (image, found) in enumerate(zip(images, boxes, strict=True)):
        x, y = margin + gap + index % columns * (side + gap), index // columns * height + gap
        text, colour = f"{'true' if reconstructions is None else 'found'} {len(found)}", PICTURE_INK
        if true_counts is not None:
            text += f" of {true_counts[index]}"
            colour = PICTURE_INK if len(found) == true_counts[index] else WRONG
        draw.text((x, y), text, fill=colour, font=font)
        picture.paste(scene_tile(image, found, zoom), (x, y + caption))
        if index % columns == 0:
            draw.text((gap, y + caption + side // 2 - 8), "scene", fill=PICTURE_INK, font=font)
        if reconstructions is not None:
            picture.paste(scene_tile(reconstructions[index], found, zoom), (x, y + caption + side + gap // 2))
            if index % columns == 0:
                draw.text((gap, y + caption + side + side // 2 - 8), "reconstruction", fill=PICTURE_INK, font=font)
    x, y = margin + gap, rows * height + 4
    for index in range(max((len(found) for found in boxes), default=0)):
        draw.rectangle((x, y + 3, x + 12, y + 15), outline=step_colour(index), width=3)
        draw.text(
            (x + 18, y),
            f"{'step' if reconstructions is not None else 'object'} {index + 1}",
            fill=PICTURE_INK,
            font=font,
        )
        x += 90
    return picture
