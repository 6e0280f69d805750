"""Scenes a second of ``compose_scenes`` against a plain Pillow loop: the same algorithm, the same random numbers.

Both make the scenes of preset ``observations`` from the same digits, and their pictures must be equal to the last byte.
airctl does more for it: it also keeps labels, boxes, scales and indices of the digits.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from airctl.scenes import SceneSpec, compose_scenes, load_glyphs
from benchmarks.summary import alternate, summary


def plain_scenes(digits: np.ndarray, scenes: int, seed: int, side: int = 50) -> np.ndarray:
    """The report's algorithm written down from top to bottom, uint8 [scenes, side, side]."""
    rng = np.random.RandomState(seed)
    images = np.zeros((scenes, side, side), np.uint8)
    for i, count in enumerate(rng.randint(3, size=scenes)):
        while True:
            canvas = np.zeros((side, side))
            for _ in range(count):
                digit = digits[rng.randint(len(digits))].astype(float)
                size = int(28 / (0.1 * rng.randn() + 1.3))
                row, column = rng.randint(0, side - size), rng.randint(0, side - size)
                stretched = (digit - digit.min()) * (255 / (digit.max() - digit.min()))
                small = Image.fromarray((stretched + 0.5).astype(np.uint8)).resize((size, size), Image.BILINEAR)
                canvas[row : row + size, column : column + size] += np.array(small)
            if canvas.max() <= 255:
                break
        images[i] = canvas
    return images


def measure(pairs: int, scenes: int) -> dict[str, Any]:
    """Medians over alternating blocks of ``scenes`` scenes each."""
    glyphs = load_glyphs("font", Path(), 0, lambda message: None)

    def ours(block: int) -> np.ndarray:
        return compose_scenes(SceneSpec(train=scenes, test=0, seed=block), glyphs)[0].images

    def plain(block: int) -> np.ndarray:
        return plain_scenes(glyphs.train_images, scenes, block)

    if not np.array_equal(ours(0), plain(0)):
        raise AssertionError("the two generators do not make the same scenes: there is nothing to compare")
    seconds: dict[str, list[float]] = {"airctl": [], "plain Pillow loop": []}
    runs = {"airctl": ours, "plain Pillow loop": plain}
    for pair in range(pairs):
        for name in alternate(list(runs), pair):
            start = time.perf_counter()
            runs[name](pair)
            seconds[name].append((time.perf_counter() - start) / scenes)
    speeds = {name: summary([1 / s for s in values]) for name, values in seconds.items()}
    ratio = [p / o for o, p in zip(seconds["airctl"], seconds["plain Pillow loop"], strict=True)]
    return {"scenes_a_block": scenes, "scenes_per_second": speeds, "airctl_over_plain": summary(ratio)}
