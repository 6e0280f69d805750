"""Digits drawn from Pillow's own font: they need no download, for tests and for machines without a network."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 28
_BOX = 20  # MNIST fits its digits into 20 x 20 pixels of the 28 x 28
_SHEET = 112


def draw_digits(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``number`` different digits, uint8 [number, 28, 28], bright on dark, and their labels [number], 0..9 in turn.

    Slant, weight, size and width vary. The same seed gives the same digits (with the same Pillow and FreeType).
    """
    rng = np.random.RandomState(seed)
    images = np.zeros((number, SIDE, SIDE), np.uint8)
    labels = (np.arange(number) % 10).astype(np.uint8)
    seen: set[bytes] = set()
    for i, label in enumerate(labels):
        image = _draw(rng, int(label))
        while image.tobytes() in seen:  # so that a split can never put one digit on both sides
            image = _draw(rng, int(label))
        seen.add(image.tobytes())
        images[i] = image
    return images, labels


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _draw(rng: np.random.RandomState, label: int) -> np.ndarray:
    middle = _SHEET // 2
    sheet = Image.new("L", (_SHEET, _SHEET))
    weight, size = int(rng.randint(5)), int(rng.randint(44, 61))
    ImageDraw.Draw(sheet).text(
        (middle, middle), str(label), fill=255, font=_font(size), anchor="mm", stroke_width=weight
    )
    slant = rng.uniform(-0.35, 0.35)
    slanted = sheet.transform(
        sheet.size, Image.Transform.AFFINE, (1, slant, -slant * middle, 0, 1, 0), Image.Resampling.BILINEAR
    )
    ink = slanted.crop(slanted.getbbox())
    height = int(rng.randint(16, _BOX + 1))
    width = int(np.clip(ink.width * height / ink.height * rng.uniform(0.8, 1.2), 3, _BOX))
    digit = Image.new("L", (SIDE, SIDE))
    digit.paste(ink.resize((width, height), Image.Resampling.BILINEAR), ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(digit)
