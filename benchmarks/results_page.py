"""docs/results.md and the table of the README, from docs/results.json: it only shows what ``reproduce`` measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airctl.reporting import table
from airctl.reporting.words import outcome_label

PAGE, README = Path("docs/results.md"), Path("README.md")
START, END = "<!-- results: made by python -m benchmarks.reproduce --render -->", "<!-- end of results -->"
HEAD = """# Results

Made by `python -m benchmarks.reproduce` from docs/results.json. Test scenes are the 10 000 of the test split, of digits
never seen in training. A count is the most probable one after one pass of the network, without a gradient step at
evaluation. Every seed is in every mean. Steps to 95 % and 98 % are the first at which that share of the validation
scenes is counted correctly; they are counted every `train.validate_every` steps. ECE is the expected calibration error
of p(n | x) in fifteen bins: the mean distance between the probability of the count and its accuracy."""


@dataclass(frozen=True)
class Told:
    """An experiment with what the store has of it."""

    title: str
    commands: Sequence[str]  # of its first seed
    elsewhere: bool  # whether the runs of another experiment are shown other scenes
    entry: Mapping[str, Any]

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """A row for each run."""
        return list(self.entry["runs"])

    @property
    def accuracies(self) -> list[float]:
        """The count accuracy of each run."""
        return [row["count_accuracy"] for row in self.rows]

    @property
    def commits(self) -> list[str]:
        """The commits that were measured."""
        return sorted({row.get("commit") or self.entry["commit"] for row in self.rows})


def page(told: Sequence[Told], table_1: Mapping[str, Any] | None) -> str:
    """docs/results.md."""
    parts = [HEAD, *(section(one) for one in told)]
    return "\n\n".join([*parts, variance(table_1)] if table_1 else parts) + "\n"


def section(told: Told) -> str:
    """Command, table and sums of one experiment."""
    rows, entry = told.rows, told.entry
    lines = [f"## {told.title}", "", *(f"    {line}" for line in told.commands), ""]
    if len(rows) > 1:
        lines += [f"and the same for the other seeds, {listed([row['seed'] for row in rows])} in all.", ""]
    if entry.get("note"):
        lines += [entry["note"], ""]
    lines += [table(*runs_table(rows, told.elsewhere)), ""]
    sentence = f"Mean {statistics.mean(told.accuracies):.2%}, worst {min(told.accuracies):.2%} of {counted(rows)}"
    if not told.elsewhere:
        sentence += reached(rows)
    lines.append(f"{sentence}. Measured at commit {', '.join(told.commits)}.")
    for more in (by_count(rows), calibration_lines(rows), outcome_lines(rows), labels_line(entry)):
        lines += ["", more] if more else []
    return "\n".join(lines)


def counted(rows: Sequence[Any]) -> str:
    """How many runs, in words."""
    return f"{len(rows)} runs" if len(rows) > 1 else "one run"


def listed(seeds: Sequence[int]) -> str:
    """0 to 9 where none is missing, else each of them."""
    whole = len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def runs_table(rows: Sequence[Mapping[str, Any]], elsewhere: bool) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each run; columns that no run has are left out."""

    def value(row: Mapping[str, Any], key: str, form: str) -> str:
        return "-" if row.get(key) is None else format(row[key], form)

    columns = [("seed", "seed", "d"), ("steps", "step", "d"), ("test accuracy", "count_accuracy", ".2%")]
    columns += [("bound", "elbo", ".1f"), ("mean IoU", "mean_iou", ".3f"), ("AP at 0.5", "average_precision", ".3f")]
    columns += [] if elsewhere else [("to 95 %", "to_95", "d"), ("to 98 %", "to_98", "d")]
    columns += [("ECE", "ece", ".2%"), ("ECE, validation", "validation_ece", ".2%")]
    flat = [{**row, "ece": row.get("calibration", {}).get("ece")} for row in rows]
    shown = [column for column in columns if any(column[1] in row and row[column[1]] is not None for row in flat)]
    return [name for name, _, _ in shown], [[value(row, key, form) for _, key, form in shown] for row in flat]


def reached(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many steps to 98 % of the validation scenes, in the median run."""
    steps = [row["to_98"] for row in rows if row.get("to_98")]
    if len(steps) == len(rows):
        return f"; 98 % of the validation scenes after {statistics.median(steps):g} steps in the median run"
    return f"; 98 % of the validation scenes in {len(steps)} of {counted(rows)}"


def by_count(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mean accuracy by true count."""
    if not all(row.get("per_count_accuracy") for row in rows):
        return ""
    means = {n: statistics.mean(row["per_count_accuracy"][n] for row in rows) for n in rows[0]["per_count_accuracy"]}
    return "By true count: " + ", ".join(f"{n}: {mean:.2%}" for n, mean in means.items()) + "."


def calibration_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """The bins of all runs together."""
    binned = [row["calibration"]["bins"] for row in rows if "calibration" in row]
    if not binned:
        return ""
    lines = []
    for index, bins in enumerate(zip(*binned, strict=True)):
        scenes = sum(one[0] for one in bins)
        if scenes:
            means = [sum(one[0] * one[part] for one in bins) / scenes for part in (1, 2)]
            low, high = index / len(binned[0]), (index + 1) / len(binned[0])
            lines.append([f"{low:.0%} to {high:.0%}", str(scenes), *(f"{mean:.1%}" for mean in means)])
    header = ["probability of the count", "scenes", "mean probability", "accuracy"]
    return f"Reliability of p(n | x), test scenes of {counted(binned)}:\n\n{table(header, lines)}"


def outcome_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """What became of the scenes, on average over the runs."""
    if not all(row.get("outcomes") for row in rows):
        return ""
    means = {name: statistics.mean(row["outcomes"][name] for row in rows) for name in rows[0]["outcomes"]}
    lines = [[outcome_label(name), f"{mean:.2%}"] for name, mean in means.items()]
    return f"What became of the scenes ([what each means](report.md)):\n\n{table(['outcome', 'share'], lines)}"


def labels_line(entry: Mapping[str, Any]) -> str:
    """The accuracy that labels buy."""
    if not entry.get("labels"):
        return ""
    return (
        f"With labels: {entry['labels']:.2%}, a small CNN told the counts (`python -m benchmarks.supervised`, seed 0)."
    )


def variance(entry: Mapping[str, Any]) -> str:
    """Table 1 of Drelich (2019), beside the same of each run that was measured."""
    told = [
        "## Table 1 of Drelich (2019): variance of the gradient's norm",
        "",
        "Rows 1 to 3 are the report's: dL/dtheta by backprop, dL/dphi by its score function, dL/dphi by that with its",
        "baseline, after 160 000 steps of its own recipe. One batch; the loss is a mean over its scenes. ± is one",
        "standard error. Rows 2 and 3 have the log likelihood as their reward; 4 and 5 are not in the report.",
        "",
    ]
    for one in entry["runs"]:
        samples = f"{one['samples']} samples, {one['batch']} scenes, step {one['step']}"
        fitted = f"; fitted for {one['fit_steps']} steps: {', '.join(one['fitted'])}" if one["fitted"] else ""
        rows = [
            [
                str(row["row"]),
                "dL/dtheta" if row["parameters"] == "theta" else "dL/dphi",
                row["estimator"],
                *(number(row[key], digits) for key, digits in TABLE_1.items()),
            ]
            for row in one["rows"]
        ]
        told += [f"    {command}" for command in one["commands"]]
        ratio = without_baseline(one["rows"])
        told += ["", f"{one['run']}: {samples}{fitted}. {ratio} Measured at commit {one['commit']}.", ""]
        told += [table(["row", "of", "estimator", "report", "ours", "±", "head of z_pres"], rows), ""]
    return "\n".join([*told, entry["note"], "", "All estimators: [estimators.md](estimators.md)."])


TABLE_1 = {"report": 3, "norm_variance": 3, "norm_variance_error": 1, "z_pres_norm_variance": 3}


def number(value: float | None, digits: int) -> str:
    """In so many digits, "-" for none."""
    return "-" if value is None else f"{value:.{digits}g}"


def without_baseline(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the report's baseline makes of the score function's variance, beside what it says."""
    of = {row["row"]: row["norm_variance"] for row in rows}
    return f"SF over SF-baseline: {number(of[2] / of[3], 3)} (report: {2.03e4 / 6.47e2:.3g})."


def with_table(readme: str, told: Sequence[Told]) -> str:
    """The README with the table of all experiments between its markers; ``ValueError`` if it has none."""
    head, start, rest = readme.partition(START)
    _, end, tail = rest.partition(END)
    if not start or not end:
        raise ValueError(f"README.md: expected {START} and {END}")
    header = ["", "runs", "steps", "steps to 98 %", "count accuracy, mean", "worst run", "with labels"]
    header += ["at commit"]
    return f"{head}{START}\n\n{table(header, [summary(one) for one in told])}\n\n{END}{tail}"


def summary(told: Told) -> list[str]:
    """Its line in the README; steps to 98 % of the validation scenes are those of the median run, if all got there."""
    steps = [row["to_98"] for row in told.rows if row.get("to_98")]
    to_98 = f"{statistics.median(steps):g}" if len(steps) == len(told.rows) and not told.elsewhere else ""
    labels = f"{told.entry['labels']:.2%}" if told.entry.get("labels") else ""
    accuracies = [f"{statistics.mean(told.accuracies):.2%}", f"{min(told.accuracies):.2%}"]
    return [
        told.title,
        str(len(told.rows)),
        str(told.rows[0]["step"]),
        to_98,
        *accuracies,
        labels,
        ", ".join(told.commits),
    ]
