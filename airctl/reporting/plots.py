"""The one door to matplotlib: figures in airctl's style, their bytes as PNG, and the values that hovering shows.

matplotlib is imported inside the functions, so that ``import airctl`` and ``airctl --help`` do not wait for it, and
pyplot is never used. Style, hash salt and metadata are fixed: the same numbers give the same bytes, whatever
``matplotlibrc`` a user has.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airctl.reporting.palette import FAINT, INK, PAPER, SOFT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 48  # letters of a name in a chart
_DOTS_PER_INCH = 144  # of a PNG; sizes in this package are pixels of 1/72 inch
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 12,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12.5,
    "figure.dpi": 72,
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "grid.color": FAINT,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "legend.labelcolor": SOFT,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "airctl",
    "text.color": INK,
    "text.parse_math": False,  # a run may be called $\frac$
    "xtick.color": FAINT,
    "xtick.labelcolor": SOFT,
    "ytick.color": FAINT,
    "ytick.labelcolor": SOFT,
}


@dataclass(frozen=True)
class Mark:
    """A value that hovering shows: where it is drawn, in the units of axes number ``axes``, and its ``text``."""

    x: float
    y: float
    text: str
    axes: int = 0


@dataclass(frozen=True)
class Chart:
    """A drawn figure, what it shows in words, and the values in it."""

    figure: Figure
    title: str
    marks: tuple[Mark, ...] = ()


@contextmanager
def style() -> Iterator[None]:
    """airctl's style instead of the user's own, while figures are made or written."""
    import matplotlib.style

    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a run may be called by an emoji
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` pixels whose parts find their own room; call it inside ``style``."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")


def png(chart: Chart) -> bytes:
    """The chart as a PNG, two pixels for each of its own."""
    stream = io.BytesIO()
    with style():
        chart.figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def label(name: str) -> str:
    """``name`` as text of a chart: printable, not too long, and not one that matplotlib hides (it starts with _)."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f" {text}" if text.startswith("_") else text
