"""docs/how-it-works.png, a scene on its way through preset fast: ``python -m benchmarks.how_it_works RUN``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import airctl
from airctl.files import atomic_path
from airctl.model import Objects, Proposals
from airctl.objectives import terms_of
from airctl.reporting import scene_tile, step_colour
from airctl.scenes import read_split

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_INK, _GREY, _PAPER = "#222222", "#666666", "#FFFFFF"
_TILE, _SMALL, _GAP, _TOP = 250, 78, 44, 64  # pixels: a canvas, an object, between two columns, above the canvases
_BEST = 6  # subsets that are shown
_NOTHING = np.empty((0, 4))


def draw(run: Path, scene: int) -> Image.Image:
    """Scene, map, proposals, subsets and reconstruction of ``scene`` of the run's test split, from left to right."""
    loaded = airctl.load(run)
    model, network = loaded.model, loaded.model.network
    if not isinstance(network, Proposals):
        raise SystemExit(f"{run} has no map of proposals: expected a run of preset fast")
    image = read_split(Path(loaded.folder.data()["path"]), "test").images[scene]
    canvas = torch.from_numpy(image)[None].float().to(loaded.device) / 255
    size = loaded.config.model.num_steps
    with torch.no_grad():
        objects = model(canvas, model.mean_noise(1, size))
        terms = terms_of(objects, loaded.log_p(size), model.likelihood)
        posterior = network.read(terms.log_q, terms.log_w)[0].exp().cpu().numpy()
        presence = network.map(canvas).logits[0].sigmoid().cpu().numpy()
    members = objects.code.members.numpy()
    likely = members[posterior.argmax()]
    edges = objects.boxes[0].cpu().numpy()
    drawn = objects.layers.sum(torch.from_numpy(likely)[None].to(canvas))[0].cpu().numpy()

    columns = [k * (_TILE + _GAP) + 20 for k in range(5)]
    picture = Image.new("RGB", (columns[-1] + _TILE + 20, _TOP + _TILE + 150), _PAPER)
    pen, font, bold = ImageDraw.Draw(picture), ImageFont.load_default(size=14), ImageFont.load_default(size=17)
    told = (
        ("1. the scene", "pixels, and nothing else"),
        ("2. the map", "where may an object be?"),
        (f"3. {size} proposals", "its best cells, all at once"),
        (f"4. all {len(members)} subsets", "which of them explain the scene?"),
        (
            "5. the answer",
            f"{likely.sum()} objects, p(n | x) = {count_posterior(objects, posterior)[likely.sum()]:.3f}",
        ),
    )
    for x, (title, line) in zip(columns, told, strict=True):
        pen.text((x, 8), title, fill=_INK, font=bold)
        pen.text((x, 34), line, fill=_GREY, font=font)
    pixels = canvas[0].cpu().numpy()
    tiles = {0: boxed(pixels, edges, ()), 1: heat(presence), 2: boxed(pixels, edges, range(size))}
    tiles[4] = boxed(drawn, edges, np.flatnonzero(likely).tolist())
    for column, one in tiles.items():
        picture.paste(one, (columns[column], _TOP))
    for left in columns[:-1]:
        x, y = left + _TILE + 8, _TOP + _TILE // 2
        pen.line((x, y, x + _GAP - 20, y), fill=_INK, width=2)
        pen.polygon([(x + _GAP - 22, y - 6), (x + _GAP - 14, y), (x + _GAP - 22, y + 6)], fill=_INK)
    subsets(pen, columns[3], posterior, members, font)
    strip(picture, columns[0], objects, posterior @ members, font)
    return picture


def count_posterior(objects: Objects, posterior: np.ndarray) -> np.ndarray:
    """p(n | x), [M + 1]."""
    return np.bincount(objects.code.counts.numpy(), posterior, objects.code.size + 1)


def subsets(pen: ImageDraw.ImageDraw, x: int, posterior: np.ndarray, members: np.ndarray, font: Font) -> None:
    """A line for each of the most probable subsets: its members by colour, and how probable it is."""
    for line, index in enumerate(np.argsort(-posterior)[:_BEST]):
        y = _TOP + 8 + 40 * line
        for i, there in enumerate(members[index]):
            box = (x + 20 * i, y, x + 20 * i + 15, y + 15)
            pen.rectangle(box, outline="#BBBBBB", fill=step_colour(i) if there else None)
        left = x + 20 * members.shape[1] + 8
        pen.rectangle((left, y, left + 2 + 60 * float(posterior[index]), y + 15), fill=_INK)
        pen.text((left + 68, y), f"{posterior[index]:.3f}", fill=_INK, font=font)


def strip(picture: Image.Image, x: int, objects: Objects, present: np.ndarray, font: Font) -> None:
    """What is drawn for each proposal, and how probable it is that it is in the scene."""
    pen, y = ImageDraw.Draw(picture), _TOP + _TILE + 40
    words = "what each proposal looks like, in the colour of its box, and the probability that it is there"
    pen.text((x, y - 26), words, fill=_GREY, font=font)
    for i, drawn in enumerate(objects.drawn[0].cpu().numpy()):
        left = x + i * (_SMALL + 54)
        zoom = max(1, _SMALL // len(drawn))
        one = scene_tile(drawn, _NOTHING, zoom).resize((_SMALL, _SMALL))
        ImageDraw.Draw(one).rectangle((0, 0, _SMALL - 1, _SMALL - 1), outline=step_colour(i), width=4)
        picture.paste(one, (left, y))
        pen.text((left, y + _SMALL + 6), f"{present[i]:.3f}", fill=_INK, font=font)
    formula = "p(S | x) for every subset S, from one Gram matrix of what is drawn; no labels anywhere"
    pen.text((x + 6 * (_SMALL + 54) + 20, y + 30), formula, fill=_GREY, font=font)


def boxed(image: np.ndarray, edges: np.ndarray, shown: Iterable[int]) -> Image.Image:
    """A canvas with the boxes of the objects ``shown``, each in its own colour."""
    one, zoom = scene_tile(image, _NOTHING, max(1, _TILE // len(image))).resize((_TILE, _TILE)), _TILE / len(image)
    pen = ImageDraw.Draw(one)
    for i in reversed([*shown]):
        x0, y0, x1, y1 = (float(edge) * zoom for edge in edges[i])
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=step_colour(i), width=3)
    return one


def heat(values: np.ndarray) -> Image.Image:
    """Probabilities from black over orange to white."""
    ramp = np.clip(np.stack([2 * values, 1.6 * values - 0.3, 2 * values - 1], -1), 0, 1)
    return Image.fromarray((255 * ramp).astype(np.uint8)).resize((_TILE, _TILE), Image.Resampling.NEAREST)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scene", type=int, default=0, help="place in the test split")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    with atomic_path(asked.out / "how-it-works.png") as part:
        draw(asked.run, asked.scene).save(part, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
