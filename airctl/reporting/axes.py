"""What charts have in common: legends below the axes, markers of named lines, logarithmic scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airctl.reporting.palette import line_colour, marker
from airctl.reporting.plots import label
from airctl.reporting.series import Points

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


def dots(name: str, place: int) -> str:
    """The marker of line ``place`` (from 0); none for a line called "training", which has a point every few steps."""
    return "" if name == "training" else marker(place)


def coordinates(points: Points) -> tuple[list[float], list[float]]:
    """All x, and all y."""
    return [x for x, _ in points], [y for _, y in points]


def legend_room(names: Sequence[str], width: int) -> tuple[int, int]:
    """The pixels that a legend of ``names`` takes below the axes, and its columns."""
    if not names:
        return 0, 1
    widest = 8 * max(len(label(name)) for name in names) + 50
    columns = max(1, min(len(names), (width - 20) // widest))
    return 22 * -(-len(names) // columns) + 12, columns


def legend(figure: Figure, places: Mapping[str, int], columns: int) -> None:
    """Below the axes, the names in the colours of their places."""
    if places:
        handles = [legend_handle(line_colour(place), dots(name, place)) for name, place in places.items()]
        figure.legend(handles, [label(name) for name in places], loc="outside lower center", ncols=columns)


def legend_handle(colour: str, shape: str) -> Line2D:
    """What stands before a name in a legend: a line with a marker."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=shape)


def powers_of_ten(axis: Axis) -> None:
    """Label a logarithmic axis with 10⁻¹, 1, 10, 10²... (matplotlib's own labels are formulas)."""
    from matplotlib.ticker import NullFormatter

    axis.set_major_formatter(lambda value, _: _power(round(math.log10(value))) if value > 0 else "")
    axis.set_minor_formatter(NullFormatter())


def _power(exponent: int) -> str:
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return {0: "1", 1: "10"}.get(exponent, f"10{raised}")
