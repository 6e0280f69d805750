"""How numbers and keys of the results read for a person: in tables, on the page and in the figures alike."""

from __future__ import annotations

from typing import Any


def outcome_label(key: str) -> str:
    """An outcome's key in words: ``needless_step`` (or as older runs spell it, ``needless step``) is needless step."""
    return key.replace("_", " ")


def whole(value: Any) -> str:
    """A whole number with a narrow space between its thousands."""
    return f"{int(value):,}".replace(",", "\u202f")
