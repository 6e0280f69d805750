"""Table 1 of Drelich 2019, the variance of the norm of the gradient: its rows, its figures, and what is added below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is

THETA, PHI = "theta", "phi and z_pres"  # dL/dtheta, of the decoder; dL/dphi, of the whole inference network
_VARIANCE = "(gradient of -ELBO)^2"


@dataclass(frozen=True)
class Table1Row:
    """A row of that table: the report's three, then what it left out."""

    row: Annotated[int, Is("its place; 1 to 3 are the report's")]
    parameters: Annotated[str, Is("whose gradient it is: theta, or phi and z_pres")]
    estimator: Annotated[str, Is("by its name here")]
    report: Annotated[float | None, Is("the report's variance of the gradient's norm", _VARIANCE)]
    norm_variance: Annotated[float | None, Is("ours; null if it was not measured", _VARIANCE)] = None
    norm_variance_error: Annotated[float | None, Is("its standard error", _VARIANCE)] = None
    z_pres_norm_variance: Annotated[float | None, Is("ours in the head of z_pres alone", _VARIANCE)] = None


# Rows 2 and 3 have the log likelihood as their reward. Row 1 has no gradient in z_pres.
ROWS = (
    Table1Row(1, THETA, "backprop", 5.83e-2),
    Table1Row(2, PHI, "score-function-likelihood", 2.03e4),
    Table1Row(3, PHI, "report-2019", 6.47e2),
    Table1Row(4, PHI, "score-function-neural", None),
    Table1Row(5, PHI, "exact", None),
)
REPORT_STEP, REPORT_SAMPLES = 160_000, 1000  # its model was trained for; of each row
TABLE_1 = tuple(row.estimator for row in ROWS)  # estimators measured for it
