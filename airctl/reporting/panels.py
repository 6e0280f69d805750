"""Scenes, glimpses and reconstructions in rows with a label each, drawn with Pillow from a run's frames and gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from airctl.reporting.palette import PAPER, PICTURE_INK, TRUE_BOX, step_colour
from airctl.reporting.pictures import scene_tile
from airctl.reporting.series import spread
from airctl.reporting.words import outcome_label
from airctl.results.records import choose, pixels

GAP, TILE = 6, 120  # pixels between tiles; a tile's side, about
_ROWS = 8  # frames in figure 1

Record = Mapping[str, Any]
Row = tuple[str, Sequence[Image.Image]]


# --- what they are made of -------------------------------------------------------------------------------------------


def tile(
    png: str, boxes: Sequence[Sequence[float]] = (), side: int = 0, true: Sequence[Sequence[float]] = ()
) -> Image.Image:
    """A picture of a record, enlarged; ``boxes`` and ``true`` boxes (grey) are in pixels of a canvas of ``side``."""
    image = pixels(png)
    zoom = max(1, TILE // image.shape[0])
    scale = image.shape[0] / side if side else 1.0
    drawn = scene_tile(image, np.array(boxes, float).reshape(-1, 4) * scale, zoom)
    draw = ImageDraw.Draw(drawn)
    for box in true:
        x0, y0, x1, y1 = (edge * scale * zoom for edge in box)
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=TRUE_BOX)
    return drawn


def panel(title: str, rows: Sequence[Row], columns: Sequence[str] = (), steps: int = 0) -> Image.Image:
    """Rows of tiles with a label each, under an optional line of ``columns`` labels and above the steps' colours."""
    font = ImageFont.load_default(size=13)
    margin = 16 + int(max((font.getlength(line) for label, _ in rows for line in label.split("\n")), default=0))
    across = max((sum(t.width + GAP for t in tiles) for _, tiles in rows), default=0)
    heads = 34 + (20 if columns else 0)
    height = heads + sum(max((t.height for t in tiles), default=20) + GAP for _, tiles in rows) + (30 if steps else 8)
    picture = Image.new("RGB", (max(margin + across + GAP, int(font.getlength(title)) + 24), height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((10, 9), title, fill=PICTURE_INK, font=font)
    y = heads
    for label, tiles in rows:
        x, tall = margin, max((t.height for t in tiles), default=20)
        draw.multiline_text((10, y + tall / 2), label, fill=PICTURE_INK, font=font, anchor="lm")
        for index, one in enumerate(tiles):
            if y == heads and columns:
                draw.text((x + one.width / 2, y - 18), columns[index], fill=PICTURE_INK, font=font, anchor="ma")
            picture.paste(one, (x, y))
            x += one.width + GAP
        y += tall + GAP
    for index in range(steps):
        x = margin + 80 * index
        draw.rectangle((x, y + 5, x + 12, y + 17), outline=step_colour(index), width=3)
        draw.text((x + 18, y + 3), f"step {index + 1}", fill=PICTURE_INK, font=font)
    return picture


def stacked(*tiles: Image.Image) -> Image.Image:
    """Tiles of one width, one above the other."""
    picture = Image.new("RGB", (tiles[0].width, sum(t.height for t in tiles) + 2 * (len(tiles) - 1)), PAPER)
    y = 0
    for one in tiles:
        picture.paste(one, (0, y))
        y += one.height + 2
    return picture


# --- over training ---------------------------------------------------------------------------------------------------


def figure_1(frames: Sequence[Record]) -> Image.Image:
    """The watched scenes above their reconstructions as the training goes on, boxes in step order."""
    scenes = frames[-1]["scenes"]
    rows: list[Row] = [("scene", [tile(s["image"]) for s in scenes])]
    for frame in spread(frames, _ROWS):
        rows.append((f"step {frame['step']}", [tile(s["drawn"], s["boxes"], s["side"]) for s in frame["scenes"]]))
    steps = max(s["found"] for frame in frames for s in frame["scenes"])
    return panel("The same scenes as the training goes on", rows, steps=steps)


# --- of a trained model ----------------------------------------------------------------------------------------------


def failures(shares: Mapping[str, float], scenes: Sequence[Record]) -> Image.Image:
    """Up to eight scenes of each outcome: the scene with the true boxes in grey, below it its reconstruction."""
    rows: list[Row] = []
    for name, share in shares.items():
        named = [s for s in scenes if s["outcome"] == name]
        shown = [named[i] for i in choose([s["true"] for s in named])]
        tiles = [
            stacked(tile(s["image"], s["boxes"], s["side"], s["true_boxes"]), tile(s["drawn"], s["boxes"], s["side"]))
            for s in shown
        ]
        rows.append(
            (
                f"{outcome_label(name)}\n{share:.2%} of the scenes".replace(" or ", "\nor ").replace(" on ", "\non "),
                tiles,
            )
        )
    steps = max((s["found"] for s in scenes), default=0)
    return panel(
        "Scenes by outcome: above, the scene (true boxes in grey); below, its reconstruction", rows, steps=steps
    )


def glimpses(scenes: Sequence[Record]) -> Image.Image:
    """Each scene, and the glimpse of each step beside its reconstruction."""
    tiles = []
    for scene in scenes:
        parts = [tile(scene["image"], scene["boxes"], scene["side"])]
        for index, step in enumerate(scene["steps"]):
            parts += [_framed(tile(step["glimpse"]), index), _framed(tile(step["object"]), index)]
        width = max(part.width for part in parts)
        tiles.append([part if part.width == width else _centred(part, width) for part in parts])
    rows: list[Row] = []
    for level in range(max((len(column) for column in tiles), default=0)):
        step = (level + 1) // 2
        name = "scene" if not level else f"step {step}:\nglimpse" if level % 2 else f"step {step}:\nreconstruction"
        blank = Image.new("RGB", tiles[0][0].size, PAPER)
        rows.append((name, [column[level] if level < len(column) else blank for column in tiles]))
    return panel("Glimpses and their reconstructions", rows)


def _framed(one: Image.Image, index: int) -> Image.Image:
    ImageDraw.Draw(one).rectangle((0, 0, one.width - 1, one.height - 1), outline=step_colour(index), width=3)
    return one


def _centred(one: Image.Image, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, one.height), PAPER)
    picture.paste(one, ((width - one.width) // 2, 0))
    return picture


def prior(samples: Sequence[Sequence[str]]) -> Image.Image:
    """Scenes drawn from the prior, a row for each number of objects."""
    rows = [(f"{n + 1} object" + "s" * (n > 0), [tile(png) for png in row]) for n, row in enumerate(samples)]
    return panel("Samples from the prior", rows)


def traversal(found: Record) -> Image.Image:
    """One object drawn again while one dimension of its z_what moves through the prior, a row a dimension."""
    columns = [f"{value:+g}" for value in found["values"]]
    rows = [(f"z_what[{row['number']}]", [tile(png) for png in row["objects"]]) for row in found["rows"]]
    title = "One object as one dimension of z_what changes (in prior standard deviations)"
    return panel(title, rows, columns if rows else ())
