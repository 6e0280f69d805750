"""What the page's script reads: scenes, frames and shares of outcomes, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airctl.reporting.page.run_report import Record, RunReport
from airctl.reporting.palette import STEP_COLOURS
from airctl.reporting.series import series, smooth
from airctl.reporting.words import outcome_label
from airctl.results.records import in_turn

MOST_SCENES = 480  # in the gallery of a page, of all runs together


def page_data(runs: Sequence[RunReport]) -> dict[str, Any]:
    """All of it; glimpses, prior and traversal only where the page has one run."""
    keys = dict.fromkeys(key for run in runs for key in _outcomes(run))
    drawn = {name: runs[0].gallery[name] for name in ("glimpses", "prior", "traversal")} if len(runs) == 1 else {}
    return {
        "colours": STEP_COLOURS,
        "labels": {key: outcome_label(key) for key in keys},
        "runs": [_run(run, MOST_SCENES // len(runs)) for run in runs],
        **drawn,
    }


def kept_scenes(run: RunReport, most: int) -> list[Record]:
    """At most ``most`` scenes of the gallery in their order, each kind (outcome and counts) as fairly as it goes."""
    scenes = run.gallery["scenes"]
    kinds = [(scene["outcome"], scene["true"], scene["found"]) for scene in scenes]
    return [scenes[i] for i in sorted(i for _, i in in_turn(kinds)[:most])]


def _outcomes(run: RunReport) -> list[str]:
    return [*run.result["outcomes"], *(scene["outcome"] for scene in run.gallery["scenes"])]


def _run(run: RunReport, most: int) -> dict[str, Any]:
    return {
        "name": run.name,
        "outcomes": run.result["outcomes"],
        "confusion": run.result["confusion"],
        "scenes": run.result["scenes"],
        "watched": run.frames[0]["scenes"] if run.frames else [],
        "frames": _frames(run),
        "gallery": kept_scenes(run, most),
    }


def _frames(run: RunReport) -> list[dict[str, Any]]:
    """Each frame with the ELBO and the accuracy known at its step."""
    curves = {"elbo": smooth(series(run.metrics, "elbo")), "accuracy": series(run.metrics, "validation_accuracy")}
    frames = []
    for frame in run.frames:
        known = {
            name: next((value for at, value in reversed(points) if at <= frame["step"]), None)
            for name, points in curves.items()
        }
        scenes = [{name: scene[name] for name in ("found", "boxes", "drawn")} for scene in frame["scenes"]]
        frames.append({"step": frame["step"], **known, "scenes": scenes})
    return frames
