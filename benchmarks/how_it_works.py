"""docs/air.png: one scene on its way through a trained model. ``python -m benchmarks.how_air_works RUN --out docs``"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import airctl
from airctl.files import atomic_path
from airctl.inference.passes import passes
from airctl.reporting import scene_tile, step_colour
from airctl.scenes import read_split

_INK, _GREY, _PAPER = "#222222", "#666666", "#FFFFFF"
_TILE, _SMALL, _GAP = 200, 112, 56  # pixels: a canvas, a glimpse, between two of them


def draw(run: Path, scene: int) -> Image.Image:
    """The steps of ``scene`` of the run's test split from left to right: where, what, there or not; and the sum."""
    loaded = airctl.load(run)
    images = torch.from_numpy(read_split(Path(loaded.folder.data()["path"]), "test").images[scene : scene + 1])
    objects, terms = next(passes(loaded.model, images.to(loaded.device), loaded.log_p(), loaded.model.mean_noise))
    count = int(terms.log_q[0].argmax())
    present = objects.logits[0].sigmoid().tolist()
    edges, canvas = objects.boxes[0].cpu().numpy(), images[0].numpy() / 255
    glimpses, drawn = objects.glimpses[0].cpu().numpy(), objects.drawn[0].cpu().numpy()
    canvases = objects.canvases[0].cpu().numpy()
    shown = count + 1  # and the step at which it stops
    column = _TILE + _GAP
    picture = Image.new("RGB", (150 + (shown + 1) * column, 640), _PAPER)
    pen = ImageDraw.Draw(picture)
    font, bold = ImageFont.load_default(size=14), ImageFont.load_default(size=17)
    for text, y in {
        "attend:\nz_where": 130,
        "infer:\nz_what": 300,
        "draw": 410,
        "there?\nz_pres": 505,
        "learn": 575,
    }.items():
        pen.multiline_text((14, y), text, fill=_GREY, font=font, anchor="lm")
    for i in range(shown):
        x, colour = 130 + i * column, step_colour(i)
        stops = i == count
        pen.text((x, 8), f"step {i + 1}", fill=_INK, font=bold)
        picture.paste(_tile(canvas, _TILE, None if stops else edges[: i + 1], i), (x, 34))
        middle = x + _TILE // 2
        if stops:
            pen.text((middle, 290), "nothing is left to attend to", fill=_GREY, font=font, anchor="mm")
        else:
            left = middle - _SMALL // 2
            _arrow(pen, middle, 236, 244, colour)
            picture.paste(_framed(glimpses[i], colour), (left, 246))
            _arrow(pen, middle, 360, 366, colour)
            picture.paste(_framed(drawn[i], colour), (left, 368))
        answer = f"q(z_pres = 1) = {present[i]:.3f}"
        pen.text((middle, 500), answer, fill=_INK, font=font, anchor="mm")
        pen.text((middle, 520), "stop" if stops else "yes: go on", fill=_INK, font=font, anchor="mm")
        if i + 1 < shown:
            pen.line((x + _TILE + 8, 134, x + column - 10, 134), fill=_INK, width=2)
            pen.polygon([(x + column - 12, 129), (x + column - 4, 134), (x + column - 12, 139)], fill=_INK)
            pen.text((x + _TILE + _GAP // 2, 118), "LSTM", fill=_GREY, font=font, anchor="mm")
    x = 130 + shown * column
    pen.text((x, 8), f"{count} objects, drawn", fill=_INK, font=bold)
    picture.paste(_tile(canvases[count], _TILE, edges[:count], None), (x, 34))
    for line, text in enumerate(
        ("q(n = 0, 1, 2...) =", ", ".join(f"{q:.3f}" for q in terms.log_q[0].exp().tolist()), "all from this one pass")
    ):
        pen.text((x, 256 + 22 * line), text, fill=_INK, font=font)
    formula = (
        "ELBO  =  E  sum_n q(n) [ log p(x given the first n objects)  -  KL of their z  +  log p(n)  -  log q(n) ]"
    )
    pen.text((130, 575), formula, fill=_INK, font=font, anchor="lm")
    pen.text((130, 605), "Teaching needs no labels: it makes this larger.", fill=_GREY, font=font, anchor="lm")
    return picture


def _tile(image: np.ndarray, side: int, edges: np.ndarray | None, bright: int | None) -> Image.Image:
    """The canvas with the boxes so far."""
    zoom = max(1, side // len(image))
    return scene_tile(image, np.empty((0, 4)) if edges is None else edges, zoom).resize((side, side))


def _framed(image: np.ndarray, colour: str) -> Image.Image:
    tile = scene_tile(image, np.empty((0, 4)), max(1, _SMALL // len(image))).resize((_SMALL, _SMALL))
    ImageDraw.Draw(tile).rectangle((0, 0, _SMALL - 1, _SMALL - 1), outline=colour, width=3)
    return tile


def _arrow(pen: Any, x: int, top: int, bottom: int, colour: str) -> None:
    pen.polygon([(x - 6, top), (x + 6, top), (x, bottom)], fill=colour)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scene", type=int, default=0, help="place in the test split")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    with atomic_path(asked.out / "air.png") as part:
        draw(asked.run, asked.scene).save(part, format="PNG")


if __name__ == "__main__":
    main()
