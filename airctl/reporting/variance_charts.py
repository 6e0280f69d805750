"""Charts of the gradient's variance: by estimator and group of parameters, and over training, with 95% intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airctl.reporting.axes import coordinates, legend, legend_handle, legend_room, powers_of_ten
from airctl.reporting.palette import MARKERS, TOWARDS_ZERO, line_colour, marker
from airctl.reporting.plots import Chart, Mark, label, new_figure, style
from airctl.reporting.words import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
_WIDE = 700  # pixels of a chart that has names of estimators at its side
_ROW = 34  # pixels of a line of such a chart
_NORMAL_95 = 1.96  # standard errors on each side of a 95% interval
_GROUPS = {"all": "all parameters", "theta": "theta (decoder)", "phi": "phi (inference)", "z_pres": "head of z_pres"}
_SHAPES = dict(zip(_GROUPS, MARKERS, strict=True))
_REACHES_ZERO = 100  # an interval that ends below a hundredth of its value is drawn as one that goes on to 0


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
        handles = [legend_handle(line_colour(index), _SHAPES[group]) for index, group in enumerate(_GROUPS)]
        figure.legend(handles, list(_GROUPS.values()), loc="outside lower center", ncols=4, handletextpad=0.4)
    return Chart(figure, title, tuple(marks))


def variance_by_step(checkpoints: Sequence[Row]) -> Chart:
    """Total variance against training step, a line an estimator, named from the highest last value to the lowest."""
    latest = checkpoints[-1]["estimators"]
    names = sorted(latest, key=lambda name: -latest[name]["total_variance"])
    room, columns = legend_room(names, _WIDE)
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
        legend(figure, dict(zip(names, range(len(names)), strict=True)), columns)
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
        powers_of_ten(axes.xaxis)
    else:
        axes.set_yscale("log")
        axes.set_ylim(limits)
        powers_of_ten(axes.yaxis)


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
    axes.plot(*coordinates([(s, row["total_variance"]) for s, row in shown]), color=colour, marker=marker(place))


def _mark_of(row: Row, name: str, x: float | None = None, y: float | None = None) -> list[Mark]:
    value = row["total_variance"]
    if not value > 0:
        return []
    text = f"{name}: {value:.3g} ± {_NORMAL_95 * row['total_variance_error']:.2g}"
    return [Mark(value if x is None else x, value if y is None else y, text)]
