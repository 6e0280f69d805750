"""From runs to what stands on the page: words, tables and charts; the templates only lay it out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airctl import config
from airctl.reporting import charts
from airctl.reporting.page.embedded import MOST_SCENES, kept_scenes
from airctl.reporting.page.repeat import Command, commands
from airctl.reporting.page.run_report import Record, RunReport
from airctl.reporting.series import Points, series, smooth
from airctl.reporting.svg import inline_svg
from airctl.reporting.variance_charts import variance_charts
from airctl.reporting.variance_tables import WHOLE, estimator_rows
from airctl.reporting.words import format_number, outcome_label
from airctl.results.as_json import seal_of

if TYPE_CHECKING:
    from markupsafe import Markup

LEVELS = (0.95, 0.98)  # count accuracies whose step a comparison names
_SHADES = 5  # of a cell of the confusion matrix


@dataclass(frozen=True)
class Table:
    """A table's header and rows; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Number:
    """A number of the result, what it is called and what it means."""

    name: str
    value: str
    words: str
    compared: bool = True


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix: ``number`` scenes, ``share`` of their row; ``shade`` 0..4."""

    inferred: int
    number: int
    share: str
    kind: str
    shade: int


@dataclass(frozen=True)
class Variance:
    """The gradient's variance on one run."""

    samples: str
    batch: str
    step: str
    table: Table
    charts: Sequence[Markup]


@dataclass(frozen=True)
class RunView:
    """One run on the page."""

    name: str
    about: Mapping[str, str]
    numbers: Sequence[Number]
    confusion: Sequence[tuple[int, Sequence[Cell]]]
    variance: Variance | None
    commands: Sequence[Command]
    environment: Table
    settings: str
    data: str
    origin: str  # JSON: the sha256 of what the page was made of


@dataclass(frozen=True)
class PageView:
    """The whole page; ``comparison`` only where it has several runs."""

    title: str
    runs: Sequence[RunView]
    comparison: Table | None
    has_frames: bool
    curves: Sequence[Markup]
    kept: str
    sections: Sequence[tuple[str, str, str]]  # id, head, word in the navigation


def page_view(runs: Sequence[RunReport]) -> PageView:
    """What stands on the page of ``runs``."""
    one = len(runs) == 1
    views = [_run_view(run, index) for index, run in enumerate(runs)]
    sections = [
        ("numbers", "Results", "Results"),
        ("training", "The same scenes over training", "Over training"),
        ("curves", "Training curves", "Curves"),
        ("confusion", "Counts", "Counts"),
        ("scenes", "Scenes by outcome", "Scenes"),
        *([("drawing", "What the model sees and draws", "Drawing")] if one else []),
        *([("variance", "Variance of the gradient", "Variance")] if any(view.variance for view in views) else []),
        ("repeat", "Repeat it", "Repeat it"),
    ]
    return PageView(
        title=" and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs",
        runs=views,
        comparison=None if one else _comparison(runs),
        has_frames=any(run.frames for run in runs),
        curves=_curves(runs),
        kept=format_number(sum(len(kept_scenes(run, MOST_SCENES // len(runs))) for run in runs)),
        sections=sections,
    )


def _run_view(run: RunReport, index: int) -> RunView:
    return RunView(
        name=run.name,
        about={
            "preset": run.config.preset,
            "estimator": run.config.objective.estimator,
            "steps": format_number(run.result["step"]),
            "batch": str(run.config.train.batch),
            "seed": str(run.config.train.seed),
            "scenes": format_number(run.result["scenes"]),
            "split": run.result["split"],
        },
        numbers=_numbers(run.result),
        confusion=_confusion(run.result["confusion"]),
        variance=None if run.variance is None else _variance(run.variance, index),
        commands=commands(run),
        environment=Table(["name", "value"], [[name, str(value)] for name, value in run.environment.items()]),
        settings=config.dumps(run.config),
        data=json.dumps(run.data, indent=1),
        origin=json.dumps(
            {
                "result_sha256": seal_of(run.result),
                "weights_sha256": run.result["weights_sha256"],
                "data_sha256": run.result["data_sha256"],
            }
        ),
    )


def _numbers(result: Record) -> list[Number]:
    return [
        Number(
            "count accuracy",
            f"{result['count_accuracy']:.2%}",
            f"± {result['standard_error']:.2%} (standard error): the most probable count",
        ),
        Number(
            "sampled count",
            f"{result['count_accuracy_sampled']:.2%}",
            "count accuracy of one sample from the posterior of the count",
            compared=False,
        ),
        Number(
            "no failure",
            f"{result['outcomes'].get('right', 0.0):.2%}",
            "of the scenes: count, boxes and reconstruction are right",
            compared=False,
        ),
        Number(
            "objective",
            f"{result['elbo']:.1f}",
            "nats per scene: the ELBO, or the collapsed objective, which is no strict bound of log p(x)",
        ),
        Number(
            "mean IoU",
            "-" if result["mean_iou"] is None else f"{result['mean_iou']:.3f}",
            f"of {format_number(result['objects'])} objects with their boxes",
        ),
        Number("average precision", f"{result['average_precision']:.3f}", "of the boxes, at IoU 0.5"),
    ]


def _comparison(runs: Sequence[RunReport]) -> Table:
    """A column a run: results, steps to some accuracies, outcomes, and the settings in which the runs differ."""
    numbers = [_numbers(run.result) for run in runs]
    rows = [["step", *(format_number(run.result["step"]) for run in runs)]]
    rows += [[row[0].name, *(each.value for each in row)] for row in zip(*numbers, strict=True) if row[0].compared]
    rows += [[f"steps to {level:.0%}", *(_steps_to(run, level) for run in runs)] for level in LEVELS]
    outcomes = [{outcome_label(key): share for key, share in run.result["outcomes"].items()} for run in runs]
    rows += [
        [name, *(f"{each[name]:.2%}" if name in each else "-" for each in outcomes)]
        for name in dict.fromkeys(name for each in outcomes for name in each)
    ]
    settings = [_settings(asdict(run.config)) for run in runs]
    rows += [
        [name, *(each.get(name, "-") for each in settings)]
        for name in dict.fromkeys(name for each in settings for name in each)
        if len({each.get(name) for each in settings}) > 1
    ]
    return Table(["", *(run.name for run in runs)], rows)


def _steps_to(run: RunReport, level: float) -> str:
    accuracy = series(run.metrics, "validation_accuracy")
    return next((format_number(step) for step, value in accuracy if value >= level), "-")


def _settings(values: Mapping[str, Any], section: str = "") -> dict[str, str]:
    """section.key -> value, as text."""
    found: dict[str, str] = {}
    for name, value in values.items():
        found |= _settings(value, f"{section}{name}.") if isinstance(value, Mapping) else {section + name: str(value)}
    return found


def _curves(runs: Sequence[RunReport]) -> list[Markup]:
    """ELBO and count accuracy over training; none before the first step is measured."""
    last = max((row["step"] for run in runs for row in run.metrics), default=0)
    if not last:
        return []
    trained = {run.name: smooth(series(run.metrics, "elbo")) for run in runs}
    held_out = {run.name: series(run.metrics, "validation_elbo") for run in runs}
    accuracy: Mapping[str, Points] = {run.name: series(run.metrics, "validation_accuracy") for run in runs}
    if len(runs) == 1:
        elbo: dict[str, Points] = {"training": trained[runs[0].name], "validation": held_out[runs[0].name]}
        accuracy = {"training": [], "validation": accuracy[runs[0].name]}  # the same colours in both charts
    else:
        elbo = {name: line or trained[name] for name, line in held_out.items()}
    panels = {"elbo": charts.elbo_panel(elbo), "accuracy": charts.accuracy_panel(accuracy)}
    return [_markup(inline_svg(charts.line_chart([panel], last), name)) for name, panel in panels.items()]


def _confusion(matrix: Sequence[Sequence[int]]) -> list[tuple[int, list[Cell]]]:
    """The rows that hold scenes: true count, cells."""
    return [
        (true, [_cell(true, inferred, number, number / sum(row)) for inferred, number in enumerate(row)])
        for true, row in enumerate(matrix)
        if sum(row)
    ]


def _cell(true: int, inferred: int, number: int, share: float) -> Cell:
    kind = "none" if not number else "hit" if true == inferred else "miss"
    return Cell(inferred, number, f"{share:.1%}", kind, min(_SHADES - 1, int(share**0.5 * _SHADES)))


def _variance(variance: Record, index: int) -> Variance:
    drawn = variance_charts(variance)
    return Variance(
        samples=format_number(variance["samples"]),
        batch=format_number(variance["batch"]),
        step=format_number(variance["step"]),
        table=Table(*estimator_rows(WHOLE, variance["estimators"])),
        charts=[_markup(inline_svg(chart, f"{name}{index}")) for name, chart in drawn.items()],
    )


def _markup(svg: str) -> Markup:
    """SVG is put in as it is: ``inline_svg`` has escaped what came from a run."""
    from markupsafe import Markup

    return Markup(svg)
