"""One page of a run, or of several side by side: ``airctl report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from airctl.commands.evaluate import evaluate
from airctl.errors import ConfigError
from airctl.files import write_text
from airctl.reporting.page import RunReport, report_page
from airctl.training import RunFolder


def report(
    runs: Path | str | Sequence[Path | str], *, out: Path | None = None, data: Path | None = None, device: str = "auto"
) -> Path:
    """One HTML page for a run (by default its report.html), or for several side by side; returns its path.

    A run that is not evaluated yet is evaluated first, on the test scenes of ``data`` or of its own file.
    """
    paths = [Path(runs)] if isinstance(runs, Path | str) else [Path(run) for run in runs]
    if not paths:
        raise ConfigError("a report needs at least one run: name its folder")
    if len(paths) > 1 and out is None:
        raise ConfigError("a report of several runs belongs to none of them: say with --out where to write it")
    found = [_run_report(path, data, device) for path in paths]
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        found = [replace(run, name=run.path) for run in found]
    out = out or paths[0] / "report.html"
    write_text(out, report_page(found))
    return out


def _run_report(path: Path, data: Path | None, device: str) -> RunReport:
    folder = RunFolder(path).require()
    results = folder.read_results("eval.json"), folder.read_results("gallery.json")
    whole = all(results) and "count_accuracy_amortised" in results[0]
    if not whole or results[0].get("step") != results[1].get("step"):
        evaluate(path, data=data, device=device)
        results = folder.read_json("eval.json"), folder.read_json("gallery.json")
    return RunReport(
        name=path.resolve().name,
        path=str(path),
        config=folder.config(),
        command=folder.command(),
        environment=folder.read_results("environment.json"),
        data=folder.data(),
        metrics=folder.read_metrics(),
        frames=folder.read_frames(),
        result=results[0],
        gallery=results[1],
        variance=folder.read_results("variance.json") or None,
    )
