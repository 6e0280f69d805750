"""The pictures of a run as PNG files, drawn with Pillow from its metrics, its frames and its gallery."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from airctl.files import atomic_path
from airctl.reporting.axes import LinearAxis
from airctl.reporting.pictures import STEP_COLOURS, scene_tile, step_colour
from airctl.results.records import choose, pixels

INK, FAINT, PAPER, TRUE = "#222222", "#DDDDDD", "#FFFFFF", "#9A9A9A"
GAP, TILE = 6, 120  # pixels between tiles; a tile's side, about
SMOOTH = 10  # lines of metrics.jsonl that a training curve averages over
_ROWS = 8  # frames in figure 1

Record = Mapping[str, Any]
Row = tuple[str, Sequence[Image.Image]]


def save(pictures: Mapping[str, Image.Image], folder: Any) -> None:
    """Write each picture as a PNG of its name into ``folder``, each whole or not at all."""
    for name, picture in pictures.items():
        with atomic_path(folder / f"{name}.png") as part:
            picture.save(part, format="PNG")


def training_figures(metrics: Sequence[Record], frames: Sequence[Record]) -> dict[str, Image.Image]:
    """What a run's training shows: ``curves`` and ``figure1``, each if there is anything to draw."""
    drawn = {}
    if metrics:
        drawn["curves"] = curves(metrics)
    if frames:
        drawn["figure1"] = figure_1(frames)
    return drawn


def gallery_figures(result: Record, gallery: Record) -> dict[str, Image.Image]:
    """What an evaluation shows: ``confusion``, ``failures``, ``glimpses``, ``prior``, ``traversal``."""
    return {
        "confusion": confusion(result["confusion"]),
        "failures": failures(result["outcomes"], gallery["scenes"]),
        "glimpses": glimpses(gallery["glimpses"]),
        "prior": prior(gallery["prior"]),
        "traversal": traversal(gallery["traversal"]),
    }


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
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=TRUE)
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
    draw.text((10, 9), title, fill=INK, font=font)
    y = heads
    for label, tiles in rows:
        x, tall = margin, max((t.height for t in tiles), default=20)
        draw.multiline_text((10, y + tall / 2), label, fill=INK, font=font, anchor="lm")
        for index, one in enumerate(tiles):
            if y == heads and columns:
                draw.text((x + one.width / 2, y - 18), columns[index], fill=INK, font=font, anchor="ma")
            picture.paste(one, (x, y))
            x += one.width + GAP
        y += tall + GAP
    for index in range(steps):
        x = margin + 80 * index
        draw.rectangle((x, y + 5, x + 12, y + 17), outline=step_colour(index), width=3)
        draw.text((x + 18, y + 3), f"step {index + 1}", fill=INK, font=font)
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


def smooth(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Each point with the mean of the last ``SMOOTH`` values."""
    values = [value for _, value in points]
    return [
        (step, sum(near) / len(near))
        for i, (step, _) in enumerate(points)
        if (near := values[max(0, i - SMOOTH + 1) : i + 1])
    ]


def series(metrics: Sequence[Record], name: str) -> list[tuple[int, float]]:
    """(step, value) of each line of the metrics that has a finite number of that name."""
    return [
        (row["step"], float(row[name]))
        for row in metrics
        if type(row.get(name)) in (int, float) and math.isfinite(row[name])
    ]


def elbo_range(*lines: Sequence[tuple[int, float]]) -> list[float]:
    """The values worth showing: without the lowest 5 %, which are the first steps of a training."""
    values = sorted(value for line in lines for _, value in line)
    return values[len(values) // 20 :]


def curves(metrics: Sequence[Record]) -> Image.Image:
    """ELBO and validation accuracy against the training step."""
    raw, held_out = series(metrics, "elbo"), series(metrics, "validation_elbo")
    accuracy = series(metrics, "validation_accuracy")
    width, height = 720, 240
    picture = Image.new("RGB", (width + 120, 2 * height + 150), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    steps = LinearAxis.over([0, *(row["step"] for row in metrics)], 80, 80 + width)
    parts = (
        ("ELBO, nats a scene", elbo_range(smooth(raw), held_out), {"training": smooth(raw), "validation": held_out}),
        ("counts right in the validation scenes", [0.0, 1.0], {"validation": accuracy}),
    )
    for index, (title, values, lines) in enumerate(parts):
        top = 40 + index * (height + 60)
        axis = LinearAxis.over(values, top + height, top)
        draw.text((80, top - 24), title, fill=INK, font=font)
        for value in axis.ticks():
            draw.line((80, axis(value), 80 + width, axis(value)), fill=FAINT)
            label = f"{value:.0%}" if index else f"{value:g}"
            draw.text((72, axis(value)), label, fill=INK, font=font, anchor="rm")
        for step in steps.ticks():
            draw.text((steps(step), top + height + 6), f"{step:g}", fill=INK, font=font, anchor="ma")
        for place, (name, points) in enumerate(lines.items()):
            colour = _CURVES[name]
            at = [(steps(step), axis(value)) for step, value in points if value >= axis.low]
            draw.line(at, fill=colour, width=2)
            if name == "validation":
                for x, y in at:
                    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
            draw.text((80 + width - 90 * place, top - 24), name, fill=colour, font=font, anchor="ra")
    draw.text((80 + width / 2, 2 * height + 124), "training step", fill=INK, font=font, anchor="ma")
    return picture


_CURVES = {"training": STEP_COLOURS[1], "validation": STEP_COLOURS[4]}


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the items, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def figure_1(frames: Sequence[Record]) -> Image.Image:
    """The watched scenes above what the model made of them after more and more steps, boxes in step order."""
    scenes = frames[-1]["scenes"]
    rows: list[Row] = [("scene", [tile(s["image"]) for s in scenes])]
    for frame in spread(frames, _ROWS):
        rows.append((f"step {frame['step']}", [tile(s["drawn"], s["boxes"], s["side"]) for s in frame["scenes"]]))
    steps = max(s["found"] for frame in frames for s in frame["scenes"])
    return panel("The same scenes after more and more steps of training", rows, steps=steps)


# --- of a trained model ----------------------------------------------------------------------------------------------


def confusion(matrix: Sequence[Sequence[int]]) -> Image.Image:
    """True count against inferred count; the darker, the larger the share of its row."""
    cell, left, top, across = 72, 90, 64, len(matrix)
    tall = sum(sum(row) > 0 for row in matrix) * cell
    picture = Image.new("RGB", (left + across * cell + 20, top + tall + 20), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=14)
    draw.text((left + across * cell / 2, 10), "inferred count", fill=INK, font=font, anchor="ma")
    draw.multiline_text((12, top + tall / 2), "true\ncount", fill=INK, font=font, anchor="lm")
    for place, true in enumerate(n for n, row in enumerate(matrix) if sum(row)):
        row, y = matrix[true], top + place * cell
        draw.text((left - 14, y + cell / 2), str(true), fill=INK, font=font, anchor="rm")
        for inferred, number in enumerate(row):
            x, share = left + inferred * cell, number / max(1, sum(row))
            red, green, blue = (0, 114, 178) if true == inferred else (213, 94, 0)
            strength = math.sqrt(share)  # so that a per cent is seen
            colour = tuple(round(255 - strength * (255 - part)) for part in (red, green, blue))
            draw.rectangle((x, y, x + cell - 3, y + cell - 3), fill=colour)
            ink = PAPER if strength > 0.6 else INK
            draw.text((x + cell / 2, y + cell / 2 - 8), str(number), fill=ink, font=font, anchor="mm")
            draw.text((x + cell / 2, y + cell / 2 + 12), f"{share:.1%}", fill=ink, font=font, anchor="mm")
    for inferred in range(across):
        draw.text((left + (inferred + 0.5) * cell, top - 20), str(inferred), fill=INK, font=font, anchor="mm")
    return picture


def failures(shares: Mapping[str, float], scenes: Sequence[Record]) -> Image.Image:
    """Up to eight scenes of each outcome: the scene with the true boxes in grey, below it what was made of it."""
    rows: list[Row] = []
    for name, share in shares.items():
        named = [s for s in scenes if s["outcome"] == name]
        shown = [named[i] for i in choose([s["true"] for s in named])]
        tiles = [
            stacked(tile(s["image"], s["boxes"], s["side"], s["true_boxes"]), tile(s["drawn"], s["boxes"], s["side"]))
            for s in shown
        ]
        rows.append((f"{name}\n{share:.2%} of the scenes".replace(" or ", "\nor ").replace(" on ", "\non "), tiles))
    steps = max((s["found"] for s in scenes), default=0)
    return panel("What became of the scenes (true boxes in grey), and what was made of them", rows, steps=steps)


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
    """One object as each of some numbers of its z_what goes through the prior."""
    columns = [f"{value:+g}" for value in found["values"]]
    rows = [(f"z_what[{row['number']}]", [tile(png) for png in row["objects"]]) for row in found["rows"]]
    title = "One object while one number of z_what changes (prior standard deviations)"
    return panel(title, rows, columns if rows else ())
