"""Rows of CSV (RFC 4180, UTF-8) that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
import io
import math

# Their full-width forms, U+FF1D and so on, too; and the apostrophe itself, so that taking one away undoes it.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n", "'")


def row(*values: str | int | float | bool | None) -> str:
    """One row with its line end; an empty cell for None and a number that is not finite, true and false in words.

    Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"). So does
    text that begins with an apostrophe: a reader who wants the text itself takes one leading apostrophe away.
    Half a surrogate pair, which stands for a byte of a file name that is no UTF-8, becomes ``\\udcXX``.
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, values))  # quotes what has one of the two within it
    text = line.getvalue().removesuffix("\r\n") + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _cell(value: str | int | float | bool | None) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or not math.isfinite(value):
        return ""
    return str(value)
