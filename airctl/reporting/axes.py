"""From numbers to pixels, and the round numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LinearAxis:
    """From numbers to pixels ``start``..``end``."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float) -> LinearAxis:
        """An axis that holds all finite ``values``."""
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        return cls(low, high if high > low else low + 1, start, end)

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers on the axis, 1, 2 or 5 times a power of ten apart, ``most`` or fewer."""
        least = (self.high - self.low) / max(1, most - 1)
        power = 10.0 ** math.floor(math.log10(least))
        apart = next(power * step for step in (1, 2, 5, 10) if power * step >= least)
        first, last = math.ceil(self.low / apart - 1e-9), math.floor(self.high / apart + 1e-9)
        return [round(apart * i, 12) for i in range(first, last + 1)]
