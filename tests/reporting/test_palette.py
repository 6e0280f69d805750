"""The palette: what is drawn on white, and what is written on a colour, can be read."""

from __future__ import annotations

import numpy as np
from PIL import ImageColor

from airctl.reporting.palette import INK, LINES, PAPER, SOFT, readable_on


def contrast(first: str, second: str) -> float:
    """WCAG's ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [part / 255 for part in ImageColor.getrgb(colour)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_lines_and_letters_have_a_contrast_of_four_and_a_half() -> None:
    """On white, and what stands in a cell of the confusion matrix on any shade of it."""
    assert min(contrast(colour, PAPER) for colour in (*LINES, INK, SOFT)) >= 4.5
    for red in range(0, 256, 15):
        for green in range(0, 256, 15):
            colour = (red / 255, green / 255, 0.4)
            assert contrast(readable_on(colour), f"rgb({red},{green},102)") >= 4.5
    assert contrast("#ffffff", "#56b4e9") < 4.5, "negative control: the colour of step 2 on white"
