"""How numbers and keys read for a person."""

from __future__ import annotations

import pytest

from airctl.reporting.words import format_number, outcome_label
from airctl.results.outcomes import OUTCOMES, outcome_key


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1234, "1\u202f234"), (1234567.0, "1\u202f234\u202f567"), (-2000, "-2\u202f000")]
    + [(0.25, "0.25"), (12.3456, "12.3"), (1234.5, "1.23e+03")],
)
def test_thousands_stand_apart_and_fractions_have_three_digits(value: float, text: str) -> None:
    """Integers and floats that are whole alike."""
    assert format_number(value) == text


@pytest.mark.parametrize("key", OUTCOMES)
def test_an_outcomes_label_leads_back_to_its_key(key: str) -> None:
    """Older files have the label where newer ones have the key."""
    assert outcome_key(outcome_label(key)) == outcome_key(key) == key
