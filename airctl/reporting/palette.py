"""Every colour ("#rrggbb") and marker that is drawn with; page.css has the report page's own, light and dark."""

from __future__ import annotations

# Charts. In small letters, as matplotlib writes them: svg.py finds them again.
INK, SOFT, FAINT, PAPER = "#1d1f23", "#5b6068", "#dcdad5", "#ffffff"
# Each has a contrast of at least 4.5:1 on white; page.css has a lighter one of the same hue for the dark page.
LINES = ("#0072b2", "#b84e00", "#00734f", "#a3487e", "#8f6200", "#5f57a8", "#1d1f23")
MARKERS = ("o", "s", "^", "D")  # the next one each time that all colours of ``LINES`` are used up
TOWARDS_ZERO = {"x": "<", "y": "v"}  # by axis: at the end of an interval that goes on to a 0 that is not on the axis

# Pictures of scenes.
PICTURE_INK, TRUE_BOX, WRONG, BLACK = "#222222", "#9A9A9A", "#D00000", "#000000"
# Okabe & Ito 2008: told apart by readers who do not see every colour; step i has colour (i - 1) mod 7.
STEP_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")


def line_colour(index: int) -> str:
    """The colour of line ``index`` (from 0) of a chart."""
    return LINES[index % len(LINES)]


def marker(index: int) -> str:
    """The marker of line ``index`` (from 0): another one where the colours start again."""
    return MARKERS[index // len(LINES) % len(MARKERS)]


def step_colour(index: int) -> str:
    """The colour of step ``index`` (from 0)."""
    return STEP_COLOURS[index % len(STEP_COLOURS)]


def tint(colour: str, strength: float) -> tuple[float, ...]:
    """``colour`` mixed with white, red, green and blue in [0, 1]: white at strength 0, itself at 1."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return tuple(1 - strength * (1 - part) for part in parts)


def readable_on(colour: tuple[float, ...]) -> str:
    """Black or white, whichever is easier to read on ``colour`` (red, green, blue in [0, 1]): at least 4.5:1."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return BLACK if luminance > 0.179 else PAPER
