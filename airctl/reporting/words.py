"""How numbers and keys of the results read for a person: in tables, on the page and in the figures alike."""

from __future__ import annotations

VERDICTS = {
    "fine": "",
    "at_limit": "there may be more objects than were looked for",
    "unlike": "unlike what the model has learnt from: do not trust this count",
}


def outcome_label(key: str) -> str:
    """An outcome's key in words: ``needless_step`` is needless step."""
    return key.replace("_", " ")


def format_number(value: float) -> str:
    """A whole number with a narrow space between its thousands; any other to three significant digits."""
    return f"{value:,.0f}".replace(",", "\u202f") if value == int(value) else f"{value:.3g}"
