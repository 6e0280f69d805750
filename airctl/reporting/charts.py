"""Charts, drawn with Pillow: variance by estimator and over training, and count accuracy over training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from airctl.reporting.pictures import STEP_COLOURS

_INK, _FAINT, _PAPER = "#222222", "#DDDDDD", "#FFFFFF"
_COLOURS = {"all": _INK, "theta": STEP_COLOURS[1], "phi": STEP_COLOURS[2], "z_pres": STEP_COLOURS[4]}
_LINES = (*STEP_COLOURS, "#222222", "#888888")  # after these come squares in the same colours
_LEFT, _TOP, _ROW, _WIDTH = 200, 40, 34, 640


@dataclass(frozen=True)
class LogAxis:
    """From numbers above 0 to pixels ``start``..``end``, a decade as long as the next."""

    low: int  # power of ten
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float) -> LogAxis:
        """An axis of whole decades that holds all ``values`` above 0."""
        logs = [math.log10(value) for value in values if value > 0 and math.isfinite(value)] or [0.0]
        low, high = math.floor(min(logs)), math.ceil(max(logs))
        return cls(low, max(high, low + 1), start, end)

    def __call__(self, value: float) -> float:
        share = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[int]:
        """The powers of ten to label, ten or fewer."""
        return list(range(self.low, self.high + 1, math.ceil((self.high - self.low) / 10)))


def variance_charts(result: Mapping[str, Any]) -> dict[str, Image.Image]:
    """By file name: ``variance``, and ``variance_by_step`` if several checkpoints were measured."""
    charts = {"variance": by_estimator(result["estimators"], result["step"])}
    if len(result["checkpoints"]) > 1:
        charts["variance_by_step"] = by_step(result["checkpoints"])
    return charts


def by_estimator(rows: Mapping[str, Mapping[str, Any]], step: int) -> Image.Image:
    """The trace of the gradient's covariance with its 95 % interval, a line an estimator and a dot a group."""
    dots = {name: {"all": row, **row["groups"]} for name, row in rows.items()}
    bottom = _TOP + _ROW * len(rows)
    picture, draw, font = _canvas(_LEFT + _WIDTH + 30, bottom + 70)
    axis = LogAxis.over(
        (g["total_variance"] for groups in dots.values() for g in groups.values()), _LEFT, _LEFT + _WIDTH
    )
    draw.text((_LEFT, 10), f"total variance of the gradient, step {step}, with 95 % intervals", fill=_INK, font=font)
    for power in axis.ticks():
        x = axis(10.0**power)
        draw.line((x, _TOP, x, bottom), fill=_FAINT)
        draw.text((x, bottom + 6), f"1e{power}", fill=_INK, font=font, anchor="ma")
    for index, (name, groups) in enumerate(dots.items()):
        middle = _TOP + _ROW * (index + 0.5)
        draw.text((_LEFT - 12, middle), name, fill=_INK, font=font, anchor="rm")
        for place, (group, found) in enumerate(groups.items()):
            y, value, reach = middle + 6 * (place - 1.5), found["total_variance"], 1.96 * found["total_variance_error"]
            if value > 0:
                draw.line((axis(value - reach), y, axis(value + reach), y), fill=_COLOURS[group], width=2)
                _dot(draw, axis(value), y, _COLOURS[group])
    _legend(draw, font, _COLOURS, _LEFT, bottom + 40)
    return picture


def by_step(checkpoints: list[Mapping[str, Any]]) -> Image.Image:
    """Total variance against training step, a line an estimator, named from the highest last value to the lowest."""
    latest = checkpoints[-1]["estimators"]
    names = sorted(latest, key=lambda name: -latest[name]["total_variance"])
    colours = {name: _LINES[i % len(_LINES)] for i, name in enumerate(names)}
    bottom = _TOP + 400
    picture, draw, font = _canvas(90 + _WIDTH + 220, bottom + 60)
    rows = [row for checkpoint in checkpoints for row in checkpoint["estimators"].values()]
    axis = LogAxis.over((row["total_variance"] for row in rows), bottom, _TOP)
    last = max(checkpoint["step"] for checkpoint in checkpoints) or 1
    draw.text((90, 10), "total variance of the gradient over training", fill=_INK, font=font)
    for power in axis.ticks():
        y = axis(10.0**power)
        draw.line((90, y, 90 + _WIDTH, y), fill=_FAINT)
        draw.text((80, y), f"1e{power}", fill=_INK, font=font, anchor="rm")
    for checkpoint in checkpoints:
        x = 90 + _WIDTH * checkpoint["step"] / last
        draw.line((x, bottom, x, bottom + 4), fill=_INK)
        draw.text((x, bottom + 8), str(checkpoint["step"]), fill=_INK, font=font, anchor="ma")
    draw.text((90 + _WIDTH / 2, bottom + 34), "training step", fill=_INK, font=font, anchor="ma")
    for index, name in enumerate(names):
        points = []
        for checkpoint in checkpoints:
            row = checkpoint["estimators"][name]
            x, value, reach = (
                90 + _WIDTH * checkpoint["step"] / last,
                row["total_variance"],
                row["total_variance_error"],
            )
            if value > 0:
                points.append((x, axis(value)))
                draw.line((x, axis(value - 1.96 * reach), x, axis(value + 1.96 * reach)), fill=colours[name])
                _dot(draw, *points[-1], colours[name], square=index >= len(_LINES))
        draw.line(points, fill=colours[name], width=2)
        _legend(draw, font, {name: colours[name]}, 90 + _WIDTH + 24, _TOP + 22 * index, square=index >= len(_LINES))
    return picture


def accuracy_curves(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> Image.Image:
    """Count accuracy in [0, 1] against what each panel is called, a line a name, from the highest last value down."""
    height = 360
    longest = max(_font().getlength(name) for lines in panels.values() for name in lines)
    picture, draw, font = _canvas(90 + _WIDTH + 50 + math.ceil(longest), len(panels) * (height + 90))
    for place, (label, lines) in enumerate(panels.items()):
        top, last = _TOP + place * (height + 90), max(x for points in lines.values() for x, _ in points)
        bottom = top + height
        for share in range(0, 101, 10):
            y = bottom - height * share / 100
            draw.line((90, y, 90 + _WIDTH, y), fill=_FAINT)
            draw.text((80, y), f"{share} %", fill=_INK, font=font, anchor="rm")
        for part in range(6):
            tick = f"{last * part / 5:.0f}" if last >= 1000 else f"{last * part / 5:.3g}"
            draw.text((90 + _WIDTH * part / 5, bottom + 8), tick, fill=_INK, font=font, anchor="ma")
        draw.text((90 + _WIDTH / 2, bottom + 28), label, fill=_INK, font=font, anchor="ma")
        for index, name in enumerate(sorted(lines, key=lambda name: -lines[name][-1][1])):
            colour, square = _LINES[index % len(_LINES)], index >= len(_LINES)
            points = [(90 + _WIDTH * x / last, bottom - height * y) for x, y in lines[name]]
            draw.line(points, fill=colour, width=2)
            for x, y in points:
                _dot(draw, x, y, colour, square)
            _legend(draw, font, {name: colour}, 90 + _WIDTH + 24, top + 22 * index, square)
    return picture


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, Any]:
    picture = Image.new("RGB", (width, height), _PAPER)
    return picture, ImageDraw.Draw(picture), _font()


def _font() -> Any:
    return ImageFont.load_default(size=13)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, colour: str, square: bool = False) -> None:
    (draw.rectangle if square else draw.ellipse)((x - 3, y - 3, x + 3, y + 3), fill=colour)


def _legend(
    draw: ImageDraw.ImageDraw, font: Any, colours: Mapping[str, str], x: float, y: float, square: bool = False
) -> None:
    for name, colour in colours.items():
        _dot(draw, x, y + 8, colour, square)
        draw.text((x + 10, y), name, fill=_INK, font=font)
        x += 100
