"""Made pictures with objects, as a counting model would have found them, and the page of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from airctl.reporting.counts_page import CountsPage
from airctl.results.found import FINE, FoundObject, FoundPicture


def picture(seed: int, height: int = 120, width: int = 160, objects: int = 4) -> tuple[np.ndarray, np.ndarray, Any]:
    """Discs in sensor noise (uint8 [height, width]), the discs alone at half the scale, and their boxes."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    discs, boxes = np.zeros((height, width), np.float32), []
    for _ in range(objects):
        r = random.uniform(6, 14)
        cx, cy = random.uniform(r, width - r), random.uniform(r, height - r)
        discs = np.maximum(discs, 0.7 * np.exp(-((((x - cx) ** 2 + (y - cy) ** 2) / (r / 1.5) ** 2) ** 2)))
        boxes.append(tuple(round(float(edge), 1) for edge in (cx - r, cy - r, cx + r, cy + r)))
    noisy = np.clip(0.1 + discs + random.normal(0, 0.04, discs.shape), 0, 1)
    return (noisy * 255).astype(np.uint8), discs[::2, ::2], boxes


def found(name: str, pixels: np.ndarray, boxes: Any, fit: float = 0.9, verdict: str = FINE) -> FoundPicture:
    """What the page is told of a picture; the i-th object has the probability 1 - i / 100."""
    objects = [FoundObject(box, 1 - i / 100) for i, box in enumerate(boxes)]
    height, width = pixels.shape[:2]
    limit = verdict == "at_limit"
    return FoundPicture(name, len(boxes), width, height, fit, limit, verdict, 0, [1.0], objects)


def written(path: Path, *added: tuple[FoundPicture, np.ndarray, np.ndarray | None]) -> Path:
    page = CountsPage(path)
    for one in added:
        page.add(*one)
    page.close()
    return path


def embedded(path: Path) -> dict[str, Any]:
    """The data that the page's script reads."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.S)
    assert text is not None
    return json.loads(text[1])
