"""What ``airctl verify`` found, a line a link."""

from __future__ import annotations

from typing import Any

from airctl.results.verified import DIFFERS, MATCHES, MISSING

_SHOWN = 12  # digits of a sha256


def verified_table(told: dict[str, Any]) -> str:
    """Status, the beginning of the sha256 that is named, what names it and what was found; and a summary under it."""
    lines = [
        f"{link['status']:<7}  {(link['expected'] or '-')[:_SHOWN]:<{_SHOWN}}  {link['what']}"
        + (f" ({link['reason']})" if link["reason"] else "")
        for link in told["links"]
    ]
    numbers = {
        status: sum(link["status"] == status for link in told["links"]) for status in (MATCHES, MISSING, DIFFERS)
    }
    words = f"{numbers[MATCHES]} match, {numbers[MISSING]} are missing, {numbers[DIFFERS]} differ"
    return "\n".join([*lines, "", words])
