"""From a run's metrics to the points of its curves: numbers only, nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

SMOOTH = 10  # lines of metrics.jsonl that a training curve averages over

T = TypeVar("T")
Points = Sequence[tuple[float, float]]


def series(metrics: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """(step, value) of each line of the metrics that has a finite number of that name."""
    return [
        (row["step"], float(row[name]))
        for row in metrics
        if type(row.get(name)) in (int, float) and math.isfinite(row[name])
    ]


def smooth(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Each point with the mean of the last ``SMOOTH`` values."""
    values = [value for _, value in points]
    return [
        (step, sum(near) / len(near))
        for i, (step, _) in enumerate(points)
        if (near := values[max(0, i - SMOOTH + 1) : i + 1])
    ]


def value_range(*lines: Points) -> tuple[float, float]:
    """The range of values worth showing: without the lowest 5%, which are the first steps of a training."""
    values = sorted(value for line in lines for _, value in line)
    kept = values[len(values) // 20 :] or [0.0]
    return kept[0], kept[-1]


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of the items, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
