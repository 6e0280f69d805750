"""Numbers from alternating blocks: a shared machine's speed drifts, so only what ran side by side is compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def alternate(names: Sequence[str], pair: int) -> Sequence[str]:
    """The order within a pair: there in even pairs, back in odd ones."""
    return list(names) if pair % 2 == 0 else list(reversed(names))


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and extremes."""
    low, q1, median, q3, high = np.percentile(values, [0, 25, 50, 75, 100]).tolist()
    return {"median": median, "q1": q1, "q3": q3, "min": low, "max": high}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first stand to the right."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])
