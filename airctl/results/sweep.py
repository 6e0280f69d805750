"""What ``airctl sweep`` came to: a row for every run, and figures over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from airctl.results.as_json import Is
from airctl.results.units import Share, Steps

LEVELS = {"95": 0.95, "98": 0.98, "99": 0.99}  # count accuracies that a run is said to reach, by the end of their keys


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """One run of a sweep."""

    run: Annotated[str, Is("name of its folder")]
    settings: Annotated[list[str], Is("what was varied, as section.key=value")]
    seed: Annotated[int, Is("of weights, order and noise")]
    status: Annotated[str, Is("finished; failed: it cannot be trained; unfinished: stopped, killed or locked")]
    reason: Annotated[str | None, Is("why it is not finished")] = None
    accuracy: Annotated[Share | None, Is("count accuracy on the split; 0 if it failed, null if it is unfinished")] = (
        None
    )
    steps: Annotated[Steps | None, Is("done in all")] = None
    steps_to_95: Annotated[Steps | None, Is("first validation at 95 % or more; null if none was")] = None
    steps_to_98: Annotated[Steps | None, Is("the same for 98 %")] = None
    steps_to_99: Annotated[Steps | None, Is("the same for 99 %")] = None


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """All runs of a sweep. The figures over all of them are null while a run is unfinished."""

    data: Annotated[str, Is("the scene file")]
    folder: Annotated[str, Is("where the runs are")]
    preset: Annotated[str, Is("the preset that the runs started from")]
    changed: Annotated[list[str], Is("what of the config is not the preset's, as section.key=value")]
    split: Annotated[str, Is("validation or test: whose scenes were counted")]
    runs: Annotated[list[SweepRun], Is("every run")]
    unfinished: Annotated[list[str], Is("names of the runs that are unfinished")]
    mean: Annotated[Share | None, Is("mean accuracy of all runs")]
    worst: Annotated[Share | None, Is("lowest accuracy of all runs")]
    reached_95: Annotated[Share | None, Is("runs with an accuracy of 95 % or more")]
    reached_98: Annotated[Share | None, Is("runs with 98 % or more")]
    reached_99: Annotated[Share | None, Is("runs with 99 % or more")]
    stopped_by: Annotated[int | None, Is("the signal that stopped it, if one did")] = None


def steps_to(metrics: Sequence[Mapping[str, Any]], accuracy: float) -> int | None:
    """The first validated step with at least this validation accuracy; None if there was none."""
    return next((row["step"] for row in metrics if (row.get("validation_accuracy") or 0) >= accuracy), None)


def over_all(runs: Sequence[SweepRun]) -> dict[str, float | None]:
    """Mean, worst and share of the runs at each level; None each as long as a run is unfinished."""
    accuracies = [run.accuracy for run in runs if run.accuracy is not None]
    whole = len(accuracies) == len(runs) and bool(runs)
    figures = {
        "mean": sum(accuracies) / max(1, len(accuracies)),
        "worst": min(accuracies, default=0.0),
        **{f"reached_{k}": sum(a >= level for a in accuracies) / max(1, len(runs)) for k, level in LEVELS.items()},
    }
    return {name: value if whole else None for name, value in figures.items()}
