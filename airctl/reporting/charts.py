"""The charts: numbers in, a ``Chart`` out. ``plots.py`` has their style, ``svg.py`` and ``figures.py`` write them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airctl.reporting.palette import INK, LINES, MARKERS, TOWARDS_ZERO, line_colour, marker, readable_on, tint
from airctl.reporting.plots import Chart, Mark, label, new_figure, style
from airctl.reporting.series import Points, series, smooth, value_range
from airctl.reporting.words import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
WIDTH, HEIGHT = 400, 245  # pixels of a chart that stands beside another
_WIDE = 700  # pixels of one that has names of estimators at its side
_ROW = 34  # pixels of a line of such a chart
_NORMAL_95 = 1.96  # standard errors on each side of a 95% interval
_GROUPS = {"all": "all parameters", "theta": "theta (decoder)", "phi": "phi (inference)", "z_pres": "head of z_pres"}
_SHAPES = dict(zip(_GROUPS, MARKERS, strict=True))
_REACHES_ZERO = 100  # an interval that ends below a hundredth of its value is drawn as one that goes on to 0


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


def line_chart(panels: Sequence[Panel], last: float | None = None, width: int = WIDTH, height: int = HEIGHT) -> Chart:
    """The panels one above the other over one legend; a name has the same colour in all of them.

    ``last`` is where the x axis ends, by default at the last point. A name's colour follows from its place.
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    shown = [name for name in names if any(panel.lines.get(name) for panel in panels)]
    room, columns = _legend_room(shown, width)
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
        _legend(figure, {name: names.index(name) for name in shown}, columns)
    title = "; ".join(f"{panel.title} against {panel.x_label}" for panel in panels)
    return Chart(figure, title, tuple(marks))


def _panel(axes: Axes, panel: Panel, names: Sequence[str], last: float | None) -> None:
    low, high = panel.values
    for name, points in panel.lines.items():
        place = names.index(name)
        shown = [(x, y) for x, y in points if y >= low]
        axes.plot(*_columns(shown), color=line_colour(place), marker=_dots(name, place), clip_on=False, zorder=3)
    room = 0.04 * ((high - low) or 1)
    axes.set_ylim((low, high) if panel.shares else (low - room, high + room))
    ends = [x for points in panel.lines.values() for x, _ in points]
    axes.set_xlim(0, (last if last is not None else max(ends, default=1)) or 1)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.xaxis.set_major_locator(_round_numbers())
    axes.xaxis.set_major_formatter(lambda value, _: format_number(value))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if panel.shares else f"{value:g}")


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


# --- variance of the gradient ----------------------------------------------------------------------------------------


def variance_charts(result: Row) -> dict[str, Chart]:
    """By file name: ``variance``, and ``variance_by_step`` if several checkpoints were measured."""
    charts = {"variance": variance_by_estimator(result["estimators"], result["step"])}
    if len(result["checkpoints"]) > 1:
        charts["variance_by_step"] = variance_by_step(result["checkpoints"])
    return charts


def variance_by_estimator(rows: Mapping[str, Row], step: int) -> Chart:
    """The trace of the gradient's covariance with its 95% interval, a line an estimator and a marker a group."""
    marks: list[Mark] = []
    with style():
        figure = new_figure(_WIDE, _ROW * len(rows) + 120)
        axes = figure.subplots()
        _log_limits(axes, "x", [group for row in rows.values() for group in _groups(row).values()])
        for place, row in enumerate(rows.values()):
            for index, (group, found) in enumerate(_groups(row).items()):
                y = place + 0.18 * (index - 1.5)
                _whisker(axes, found, y, index, group)
                marks += _mark_of(found, f"{label(list(rows)[place])}, {_GROUPS[group]}", y=y)
        axes.set_yticks(range(len(rows)), [label(name) for name in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        title = f"Total variance of the gradient at step {format_number(step)}, with 95% intervals"
        axes.set_title(title)
        handles = [_handle(line_colour(index), _SHAPES[group]) for index, group in enumerate(_GROUPS)]
        figure.legend(handles, list(_GROUPS.values()), loc="outside lower center", ncols=4, handletextpad=0.4)
    return Chart(figure, title, tuple(marks))


def variance_by_step(checkpoints: Sequence[Row]) -> Chart:
    """Total variance against training step, a line an estimator, named from the highest last value to the lowest."""
    latest = checkpoints[-1]["estimators"]
    names = sorted(latest, key=lambda name: -latest[name]["total_variance"])
    room, columns = _legend_room(names, _WIDE)
    marks: list[Mark] = []
    with style():
        figure = new_figure(_WIDE, 340 + room)
        axes = figure.subplots()
        _log_limits(axes, "y", [row for checkpoint in checkpoints for row in checkpoint["estimators"].values()])
        for place, name in enumerate(names):
            found = [(c["step"], c["estimators"][name]) for c in checkpoints if name in c["estimators"]]
            _line_over_steps(axes, found, place)
            for step, row in found:
                marks += _mark_of(row, f"{label(name)}, step {format_number(step)}", x=step)
        title = "Total variance of the gradient over training, with 95% intervals"
        axes.set_title(title)
        axes.set_xlabel("training step")
        axes.set_xticks(sorted({c["step"] for c in checkpoints}))
        axes.xaxis.set_major_formatter(lambda value, _: format_number(value))
        _legend(figure, dict(zip(names, range(len(names)), strict=True)), columns)
    return Chart(figure, title, tuple(marks))


def _groups(row: Row) -> dict[str, Row]:
    return {"all": row, **row["groups"]}


def _interval(row: Row) -> tuple[float | None, float]:
    """The 95% interval of a row's total variance; None as its lower end if it reaches 0."""
    value, reach = row["total_variance"], _NORMAL_95 * row["total_variance_error"]
    return (value - reach if value - reach > value / _REACHES_ZERO else None), value + reach


def _log_limits(axes: Axes, which: str, rows: Iterable[Row]) -> None:
    """A logarithmic axis that holds every interval whole."""
    shown = [row for row in rows if row["total_variance"] > 0]
    ends = [(low or row["total_variance"] / 10, high) for row in shown for low, high in [_interval(row)]]
    low, high = min((low for low, _ in ends), default=0.1), max((high for _, high in ends), default=1.0)
    limits = (low / 1.6, max(high, low * 10) * 1.6)
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(limits)
        _powers_of_ten(axes.xaxis)
    else:
        axes.set_yscale("log")
        axes.set_ylim(limits)
        _powers_of_ten(axes.yaxis)


def _whisker(axes: Axes, row: Row, y: float, place: int, group: str) -> None:
    value, colour = row["total_variance"], line_colour(place)
    if not value > 0:
        axes.text(0.004, y, "0", color=colour, transform=axes.get_yaxis_transform(), va="center", fontsize=10)
        return
    low, high = _interval(row)
    start = axes.get_xlim()[0] if low is None else low
    axes.plot([start, high], [y, y], color=colour, linewidth=1.5, zorder=2)
    if low is None:
        axes.plot([start], [y], color=colour, marker=TOWARDS_ZERO["x"], clip_on=False, zorder=3)
    axes.plot([value], [y], color=colour, marker=_SHAPES[group], zorder=3)


def _line_over_steps(axes: Axes, found: Sequence[tuple[int, Row]], place: int) -> None:
    colour = line_colour(place)
    shown = [(step, row) for step, row in found if row["total_variance"] > 0]
    for step, row in shown:
        low, high = _interval(row)
        start = axes.get_ylim()[0] if low is None else low
        axes.plot([step, step], [start, high], color=colour, linewidth=1.2)
        if low is None:
            axes.plot([step], [start], color=colour, marker=TOWARDS_ZERO["y"], clip_on=False)
    axes.plot(*_columns([(s, row["total_variance"]) for s, row in shown]), color=colour, marker=marker(place))


def _mark_of(row: Row, name: str, x: float | None = None, y: float | None = None) -> list[Mark]:
    value = row["total_variance"]
    if not value > 0:
        return []
    text = f"{name}: {value:.3g} ± {_NORMAL_95 * row['total_variance_error']:.2g}"
    return [Mark(value if x is None else x, value if y is None else y, text)]


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
            _powers_of_ten(middle.yaxis)
        middle.set_title(f"pixels by value ({step} values per bar)")
        right.axis("off")
        right.text(0, 1, "\n".join(lines), va="top", linespacing=1.6, color=INK, fontsize=11.5)
        for axes in (left, middle):
            axes.grid(visible=False, axis="x")
            axes.tick_params(axis="x", length=0)
    return Chart(figure, "Scenes by number of objects; pixels by value")


# --- what they share -------------------------------------------------------------------------------------------------


def _stack(figure: Figure, many: int) -> list[Axes]:
    return list(figure.subplots(many, 1, squeeze=False)[:, 0])


def _dots(name: str, place: int) -> str:
    return "" if name == "training" else marker(place)


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _legend_room(names: Sequence[str], width: int) -> tuple[int, int]:
    """The pixels that a legend of ``names`` takes below the axes, and its columns."""
    if not names:
        return 0, 1
    widest = 8 * max(len(label(name)) for name in names) + 50
    columns = max(1, min(len(names), (width - 20) // widest))
    return 22 * -(-len(names) // columns) + 12, columns


def _legend(figure: Figure, places: Mapping[str, int], columns: int) -> None:
    """Below the axes, the names in the colours of their places."""
    if places:
        handles = [_handle(line_colour(place), _dots(name, place)) for name, place in places.items()]
        figure.legend(handles, [label(name) for name in places], loc="outside lower center", ncols=columns)


def _powers_of_ten(axis: Axis) -> None:
    """Label a logarithmic axis with 10⁻¹, 1, 10, 10²... (matplotlib's own labels are formulas)."""
    from matplotlib.ticker import NullFormatter

    axis.set_major_formatter(lambda value, _: _power(round(math.log10(value))) if value > 0 else "")
    axis.set_minor_formatter(NullFormatter())


def _power(exponent: int) -> str:
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return {0: "1", 1: "10"}.get(exponent, f"10{raised}")


def _handle(colour: str, shape: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=shape)


def _round_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, steps=[1, 2, 5, 10])


def _value(value: float, share: bool) -> str:
    return f"{value:.2%}" if share else f"{value:.1f}"
