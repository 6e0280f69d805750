"""Table 1 of Drelich 2019, the variance of the norm of the gradient: its rows here, and the figures of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.door import Is
from airctl.results.units import Steps

TABLE_1 = ("backprop", "score-function", "score-function-neural", "report-2019", "exact")  # estimators measured for it


@dataclass(frozen=True)
class Table1:
    """Figures of that table, by the names that its rows have here."""

    step: Annotated[Steps, Is("its model was trained for")]
    samples: Annotated[int, Is("of each row", "samples")]
    norm_variance: Annotated[dict[str, float], Is("variance of the gradient's norm", "(gradient of -ELBO)^2")]


REPORT_2019 = Table1(
    step=160_000,
    samples=1000,
    norm_variance={"backprop": 5.83e-2, "score-function": 2.03e4, "report-2019": 6.47e2},
)
