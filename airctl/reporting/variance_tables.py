"""The tables of the variance report: Table 1 of Drelich (2019) and what it left out, by estimator, group and step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airctl.reporting.tables import table
from airctl.results.table_1 import REPORT_SAMPLES, REPORT_STEP

GROUPS = {
    "theta": "generative parameters theta (the decoder)",
    "phi": "inference network phi, without the head of z_pres",
    "z_pres": "head of z_pres",
}
_Row = Mapping[str, Any]


def _number(name: str, digits: int = 3) -> Callable[[_Row], str]:
    return lambda row: "-" if row[name] is None else f"{row[name]:.{digits}g}"


def _interval(row: _Row) -> str:
    interval = row.get("relative_bias_interval")  # older results have none
    return "-" if interval is None else "{:.3g} .. {:.3g}".format(*interval)


# A table's columns from left to right: what each is called, and what it shows of a row.
Columns = Sequence[tuple[str, Callable[[_Row], str]]]
_SPREAD: Columns = (
    ("variance of norm", _number("norm_variance")),
    ("±", _number("norm_variance_error", 1)),
    ("total variance", _number("total_variance")),
    ("±", _number("total_variance_error", 1)),
)
_TRUTH: Columns = (
    ("bias", _number("bias")),
    ("relative bias", _number("relative_bias")),
    ("along it, 95%", _interval),
    ("cosine", lambda row: f"{row['cosine']:.3f}"),
    ("signal / noise", _number("signal_to_noise")),
)
_COST: Columns = (
    ("cost", _number("relative_cost", 2)),
    ("variance x cost", _number("efficiency")),
    ("ms per sample", lambda row: f"{1000 * row['seconds_per_sample']:.0f}"),
)
# The figures of a row of Table 1: their names in the row, and digits.
_FIGURES = {
    "report": ("report", 3),
    "ours": ("norm_variance", 3),
    "±": ("norm_variance_error", 1),
    "ours, head of z_pres": ("z_pres_norm_variance", 3),
}
WHOLE: Columns = (*_SPREAD, *_TRUTH, *_COST)
BY_GROUP: Columns = (*_SPREAD, ("largest variance", _number("largest_variance")), *_TRUTH)


def estimator_rows(columns: Columns, rows: Mapping[str, _Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table with a row for each estimator."""
    header = ["estimator", *(name for name, _ in columns)]
    return header, [[name, *(show(row) for _, show in columns)] for name, row in rows.items()]


def variance_table(result: dict[str, Any]) -> str:
    """Each table of ``result``: Table 1 if asked for, all parameters, each group, the steps if there are several."""
    parts = [table(*estimator_rows(WHOLE, result["estimators"])), _protocol(result)]
    for group, words in GROUPS.items():
        rows = {name: row["groups"][group] for name, row in result["estimators"].items()}
        parts += [f"{words}, {result['parameters'][group]} numbers:", table(*estimator_rows(BY_GROUP, rows))]
    if len(result["checkpoints"]) > 1:
        parts += ["Total variance at each step of the training:", _over_training(result["checkpoints"])]
    if result["table_1"] is not None:
        parts = [_table_1(result), *parts]
    return "\n\n".join(parts)


def _protocol(result: dict[str, Any]) -> str:
    fitted = f"; baselines fitted on the frozen model for {result['fit_steps']} steps: " + ", ".join(result["fitted"])
    stopped = f" of {result['samples_asked']} asked for" if result["samples"] < result["samples_asked"] else ""
    some = [f"{name} {r['samples']}" for name, r in result["estimators"].items() if r["samples"] > result["samples"]]
    stopped += f" ({', '.join(some)})" if some else ""
    stopped += f", none of {', '.join(result['left_out'])}" if result["left_out"] else ""
    return (
        f"{result['samples']} gradient samples{stopped} on one batch of {result['batch']} scenes, checkpoint of step "
        f"{result['step']}{fitted if result['fitted'] else ''}.\n± is one standard error; bias is against the exact "
        "gradient of the ELBO, relative to its norm; cost is a sample's time in units of backprop's"
    )


def _over_training(checkpoints: Sequence[_Row]) -> str:
    names = list(dict.fromkeys(name for checkpoint in checkpoints for name in checkpoint["estimators"]))
    rows = [[name, *(f"{c['estimators'][name]['total_variance']:.3g}" for c in checkpoints)] for name in names]
    return table(["estimator", *(f"step {c['step']}" for c in checkpoints)], rows)


def _table_1(result: dict[str, Any]) -> str:
    """The report's figures, the parameters each is of, and ours of the same; below them what the report left out."""
    shown = {"theta": "dL/dtheta", "phi and z_pres": "dL/dphi"}

    def line(row: _Row) -> list[str]:
        figures = (_number(name, digits)(row) for name, digits in _FIGURES.values())
        return [str(row["row"]), shown[row["parameters"]], row["estimator"], *figures]

    return (
        "Table 1 of Drelich (2019), variance of the gradient's norm:\n\n"
        f"{table(['row', 'of', 'estimator', *_FIGURES], [line(row) for row in result['table_1']])}\n\n"
        f"The report's: a model trained for {REPORT_STEP} steps by its own recipe, one batch, {REPORT_SAMPLES} "
        f"samples. Ours: step {result['step']} of this run, one batch of {result['batch']} scenes, "
        f"{result['samples']} samples, the loss a mean over the scenes.\ntheta is the decoder: given the samples, row "
        "1 is deterministic. phi is the inference network with the head of z_pres. Rows 2 and 3 have the log "
        "likelihood as their reward, row 2 without a baseline, row 3 with the report's own, which reads the current "
        "z_pres; 4 and 5 are not in the report."
    )
