"""Charts of training, counts and data: numbers in, a ``Chart`` out; those of the variance: ``variance_charts.py``.

``plots.py`` has their style, ``palette.py`` their colours; ``svg.py`` and ``figures.py`` write them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airctl.reporting.axes import coordinates, dots, legend, legend_room, powers_of_ten
from airctl.reporting.palette import INK, LINES, line_colour, readable_on, tint
from airctl.reporting.plots import Chart, Mark, label, new_figure, style
from airctl.reporting.series import Points, series, smooth, value_range
from airctl.reporting.words import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
WIDTH, HEIGHT = 400, 245  # pixels of a chart that stands beside another


@dataclass(frozen=True)
class Panel:
    """Lines against ``x_label``: by name their points (x, y); shares are in [0, 1] and shown as per cent.

    The axes show ``values`` (lowest, highest) at least; points below the lowest are left out. A line called "training"
    has no dots: it has a point every few steps.
    """

    title: str
    x_label: str
    lines: Mapping[str, Points]
    values: tuple[float, float]
    shares: bool = False


# --- over training ---------------------------------------------------------------------------------------------------


def elbo_panel(lines: Mapping[str, Points]) -> Panel:
    """ELBO curves, in nats per scene."""
    return Panel("ELBO (nats per scene)", "training step", lines, value_range(*lines.values()))


def accuracy_panel(lines: Mapping[str, Points]) -> Panel:
    """Count accuracy on validation scenes."""
    return Panel("Count accuracy on the validation scenes", "training step", lines, (0.0, 1.0), shares=True)


def training_curves(metrics: Sequence[Row]) -> Chart:
    """ELBO and validation accuracy of one run against the training step, one above the other."""
    elbo = {"training": smooth(series(metrics, "elbo")), "validation": series(metrics, "validation_elbo")}
    accuracy = {"validation": series(metrics, "validation_accuracy")}
    return line_chart([elbo_panel(elbo), accuracy_panel(accuracy)], last=max(row["step"] for row in metrics), width=640)


def accuracy_curves(panels: Mapping[str, Mapping[str, Points]]) -> Chart:
    """Count accuracy in [0, 1] against what each panel is called, a line a name, from the highest last value down."""
    return line_chart(
        [
            Panel("Count accuracy", x, dict(sorted(lines.items(), key=lambda item: -item[1][-1][1])), (0.0, 1.0), True)
            for x, lines in panels.items()
        ],
        width=760,
        height=340,
    )


def line_chart(panels: Sequence[Panel], last: float | None = None, width: int = WIDTH, height: int = HEIGHT) -> Chart:
    """The panels one above the other over one legend; a name has the same colour in all of them.

    ``last`` is where the x axis ends, by default at the last point. A name's colour follows from its place.
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    shown = [name for name in names if any(panel.lines.get(name) for panel in panels)]
    room, columns = legend_room(shown, width)
    marks: list[Mark] = []
    with style():
        figure = new_figure(width, height * len(panels) + room)
        for place, (axes, panel) in enumerate(zip(_stack(figure, len(panels)), panels, strict=True)):
            _panel(axes, panel, names, last)
            marks += [
                Mark(x, y, f"{label(name)}, {format_number(x)}: {_value(y, panel.shares)}", place)
                for name, points in panel.lines.items()
                for x, y in points
                if y >= panel.values[0]
            ]
        legend(figure, {name: names.index(name) for name in shown}, columns)
    title = "; ".join(f"{panel.title} against {panel.x_label}" for panel in panels)
    return Chart(figure, title, tuple(marks))


def _panel(axes: Axes, panel: Panel, names: Sequence[str], last: float | None) -> None:
    low, high = panel.values
    for name, points in panel.lines.items():
        place = names.index(name)
        shown = [(x, y) for x, y in points if y >= low]
        axes.plot(*coordinates(shown), color=line_colour(place), marker=dots(name, place), clip_on=False, zorder=3)
    room = 0.04 * ((high - low) or 1)
    axes.set_ylim((low, high) if panel.shares else (low - room, high + room))
    ends = [x for points in panel.lines.values() for x, _ in points]
    axes.set_xlim(0, (last if last is not None else max(ends, default=1)) or 1)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.xaxis.set_major_locator(_round_numbers())
    axes.xaxis.set_major_formatter(lambda value, _: format_number(value))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if panel.shares else f"{value:g}")


def _stack(figure: Figure, many: int) -> list[Axes]:
    return list(figure.subplots(many, 1, squeeze=False)[:, 0])


def _round_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, steps=[1, 2, 5, 10])


def _value(value: float, share: bool) -> str:
    return f"{value:.2%}" if share else f"{value:.1f}"


# --- of counts and data ----------------------------------------------------------------------------------------------


def confusion(matrix: Sequence[Sequence[int]]) -> Chart:
    """True count against inferred count, a row each: the darker, the larger the share of its row."""
    rows = [(true, row) for true, row in enumerate(matrix) if sum(row)]
    with style():
        figure = new_figure(90 + 72 * len(matrix), 84 + 72 * len(rows))
        axes = figure.subplots()
        for place, (true, row) in enumerate(rows):
            for inferred, number in enumerate(row):
                _cell(axes, inferred, place, number, number / sum(row), true == inferred)
        axes.set_xlim(-0.5, len(matrix) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(range(len(matrix)))
        axes.set_yticks(range(len(rows)), [str(true) for true, _ in rows])
        axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("inferred count")
        axes.set_ylabel("true count")
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return Chart(figure, "True count against inferred count")


def _cell(axes: Axes, x: int, y: int, number: int, share: float, right: bool) -> None:
    from matplotlib.patches import Rectangle

    colour = tint(LINES[0] if right else LINES[1], math.sqrt(share))  # the root, so that one per cent is seen
    axes.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=colour))
    ink = readable_on(colour)
    axes.text(x, y - 0.13, str(number), color=ink, ha="center", va="center", fontsize=13)
    axes.text(x, y + 0.2, f"{share:.1%}", color=ink, ha="center", va="center", fontsize=11)


def dataset_histograms(statistics: Row, lines: Sequence[str], width: int) -> Chart:
    """How many objects a scene has and how bright its pixels are, beside ``lines`` of text, ``width`` pixels in all.

    ``statistics`` are those of ``scenes.statistics``.
    """
    counts, bins = statistics["counts"], statistics["pixel_histogram"]
    total, step = max(1, statistics["scenes"]), 256 // len(bins)
    with style():
        figure = new_figure(width, 210)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.5, 1.3])
        bars = left.bar(range(len(counts)), counts, color=LINES[0])
        left.bar_label(bars, [f"{many / total:.0%}" for many in counts], color=INK, padding=2)
        left.margins(y=0.15)
        left.set_xticks(range(len(counts)))
        left.set_title("scenes by number of objects")
        edges = [step * index for index in range(len(bins))]
        middle.bar(edges, bins, width=0.86 * step, align="edge", color=LINES[0], log=any(bins))
        if any(bins):
            powers_of_ten(middle.yaxis)
        middle.set_title(f"pixels by value ({step} values per bar)")
        right.axis("off")
        right.text(0, 1, "\n".join(lines), va="top", linespacing=1.6, color=INK, fontsize=11.5)
        for axes in (left, middle):
            axes.grid(visible=False, axis="x")
            axes.tick_params(axis="x", length=0)
    return Chart(figure, "Scenes by number of objects; pixels by value")
