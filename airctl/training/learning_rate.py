"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from airctl.config import OptimiserConfig


def learning_rate_factor(step: int, steps: int, optimiser: OptimiserConfig) -> float:
    """What the learning rates are multiplied by at step ``step`` (from 0) of ``steps``: warm-up, then the schedule."""
    factor = min(1.0, (step + 1) / max(1, optimiser.warmup))
    if optimiser.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))
    return factor
