"""The tables of the variance report: Table 1 of Drelich (2019) and what it left out, by estimator, group and step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airctl.reporting.tables import table

GROUPS = {
    "theta": "generative parameters theta (the decoder)",
    "phi": "inference network phi, without the head of z_pres",
    "z_pres": "head of z_pres",
}
_Row = Mapping[str, Any]


def _number(name: str, digits: int = 3) -> Callable[[_Row], str]:
    return lambda row: "-" if row[name] is None else f"{row[name]:.{digits}g}"


def _interval(row: _Row) -> str:
    return "-" if row["bias_interval"] is None else "{:.2g} .. {:.2g}".format(*row["bias_interval"])


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
    ("p(no bias)", _number("bias_p_value", 2)),
    ("cosine", lambda row: f"{row['cosine']:.3f}"),
    ("signal / noise", _number("signal_to_noise")),
)
_COST: Columns = (
    ("cost", _number("relative_cost", 2)),
    ("variance x cost", _number("efficiency")),
    ("ms per sample", lambda row: f"{1000 * row['seconds_per_sample']:.0f}"),
)
_ALONG_BIAS: Columns = (("largest variance", _number("largest_variance")), ("along bias, 95%", _interval))
WHOLE: Columns = (*_SPREAD, *_TRUTH, *_COST)
BY_GROUP: Columns = (*_SPREAD, *_ALONG_BIAS, *_TRUTH)


def estimator_rows(columns: Columns, rows: Mapping[str, _Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table with a row for each estimator."""
    header = ["estimator", *(name for name, _ in columns)]
    return header, [[name, *(show(row) for _, show in columns)] for name, row in rows.items()]


def variance_table(result: dict[str, Any]) -> str:
    """Each table of ``result``: all parameters, each group, the steps if there are several, the report if asked for."""
    parts = [table(*estimator_rows(WHOLE, result["estimators"])), _protocol(result)]
    for group, words in GROUPS.items():
        rows = {name: row["groups"][group] for name, row in result["estimators"].items()}
        parts += [f"{words}, {result['parameters'][group]} numbers:", table(*estimator_rows(BY_GROUP, rows))]
    if len(result["checkpoints"]) > 1:
        parts += ["Total variance at each step of the training:", _over_training(result["checkpoints"])]
    if result["report_2019"] is not None:
        parts += [_against_report(result)]
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
        "gradient of the ELBO; cost is a sample's time in units of backprop's"
    )


def _over_training(checkpoints: Sequence[_Row]) -> str:
    names = list(dict.fromkeys(name for checkpoint in checkpoints for name in checkpoint["estimators"]))
    rows = [[name, *(f"{c['estimators'][name]['total_variance']:.3g}" for c in checkpoints)] for name in names]
    return table(["estimator", *(f"step {c['step']}" for c in checkpoints)], rows)


def _against_report(result: dict[str, Any]) -> str:
    """Its three figures beside ours, and the ratios, in which a difference of scale cancels."""
    told, batch = result["report_2019"], result["batch"]
    ours = {name: row["norm_variance"] for name, row in result["estimators"].items() if name in told["norm_variance"]}
    unit, plain = told["norm_variance"], "score-function"
    rows = []
    for name, figure in unit.items():
        found = ours.get(name)
        ratios = [f"{unit[plain] / figure:.3g}"]
        ratios += [f"{ours[plain] / found:.3g}" if found and plain in ours else "-"]
        values = ["-", "-"] if found is None else [f"{found:.3g}", f"{found * batch**2:.3g}"]
        rows.append([name, f"{figure:.3g}", *values, *ratios])
    header = ["variance of norm", "Drelich 2019", "ours", "ours, summed loss", "SF / it, 2019", "SF / it, ours"]
    return (
        "Against Table 1 of Drelich (2019):\n\n"
        f"{table(header, rows)}\n\n"
        f"There: a model trained for {told['step']} steps by its own recipe, one batch, {told['samples']} "
        f"samples. Here: step {result['step']} of this run, one batch of {batch} scenes, {result['samples']} samples, "
        f"and the loss is the mean over the scenes; with their sum every variance is {batch**2} times as large (third "
        "column). The third row is that report's own estimator, whose baseline reads the current z_pres; backprop here "
        "has no gradient in the head of z_pres. Ratios to the score function do not depend on sum or mean."
    )
