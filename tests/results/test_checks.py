"""Results of another shape are one sentence that says what is wrong; a bug of ours is not taken for them."""

from __future__ import annotations

from typing import Any

import pytest

from airctl.errors import InputFileError
from airctl.reporting.tables import outcome_table
from airctl.reporting.words import outcome_label
from airctl.results.checks import MAYBE, NUMBER, Each, check
from airctl.results.records import pixels, png_text

SHAPE = {"step": int, "rows": [{"name": str, "value": NUMBER}], "shares": Each(NUMBER), "bias": MAYBE}
GOOD: dict[str, Any] = {"step": 1, "rows": [{"name": "a", "value": 0.5, "more": 1}], "shares": {"x": 1}, "bias": None}


def test_what_has_the_shape_passes() -> None:
    """More keys than needed, whole numbers for numbers and null where allowed are fine."""
    check(GOOD, SHAPE, "run/eval.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"step": "1"}, "step is no whole number"),
        ({"step": True}, "step is no whole number"),
        ({"rows": {}}, "rows is no list"),
        ({"rows": [GOOD["rows"][0], {"name": "b"}]}, r"rows\[1\] has no value"),
        ({"rows": [{"name": 3, "value": 1}]}, r"rows\[0\].name is no text"),
        ({"shares": {"x": 1, "y": []}}, "shares.y is no number"),
        ({"bias": "none"}, "bias is no number"),
    ],
)
def test_what_has_not_is_named(change: dict[str, Any], told: str) -> None:
    """The file, the place in it and what was expected there."""
    with pytest.raises(InputFileError, match=f"run/eval.json.*{told}"):
        check(GOOD | change, SHAPE, "run/eval.json")


def test_a_picture_that_is_none_is_one_sentence() -> None:
    """Text that is no base64, or holds no PNG."""
    import numpy as np

    assert pixels(png_text(np.full((4, 4), 255, np.uint8))).tolist() == [[1.0] * 4] * 4
    for text in ("<script>", "aGVsbG8="):
        with pytest.raises(InputFileError, match="no PNG"):
            pixels(text)


@pytest.mark.parametrize("key", ["needless_step", "needless step"])
def test_outcomes_read_the_same_in_both_spellings(key: str) -> None:
    """The keys of JSON, and what older runs have."""
    assert outcome_label(key) == "needless step"
    assert "| needless step |      3 | 30.00% |" in outcome_table({"scenes": 10, "outcomes": {key: 0.3}})
