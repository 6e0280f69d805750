"""One page of a run, or of several side by side: ``airctl report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from airctl.commands.evaluate import evaluate, kept_files
from airctl.commands.loaded import Warn
from airctl.commands.output_paths import require_free, require_no_file_of
from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, sha256_of, write_text
from airctl.reporting.page import RunReport, report_page
from airctl.results import evaluation as results
from airctl.results.as_json import read, to_json
from airctl.results.evaluation import Evaluation
from airctl.results.frames import checked
from airctl.results.pictured import Gallery
from airctl.results.variance import VarianceReport
from airctl.training import RunFolder


def report(
    runs: Path | str | Sequence[Path | str],
    *,
    out: Path | str | None = None,
    data: Path | str | None = None,
    device: str = "auto",
    force: bool = False,
    warn: Warn = lambda message: None,
) -> Path:
    """One HTML page for a run (by default its report.html), or for several side by side; returns its path.

    A run whose evaluation is missing is evaluated first, on the test scenes of ``data`` or of the file that it was
    trained on. ``warn`` is told where the evaluations of several runs cannot be compared number by number, and of a
    data file that is not the one it was. ``ConfigError`` for an ``out`` that exists, unless ``force`` replaces it, and
    for any file of a run but its report.html.
    """
    paths = [Path(runs)] if isinstance(runs, Path | str) else [Path(run) for run in runs]
    if not paths:
        raise ConfigError("a report needs at least one run: name its folder")
    if len(paths) > 1 and out is None:
        raise ConfigError(
            "a report of several runs belongs to none of them: say with out=FILE where to write it", "out"
        )
    usual = paths[0] / "report.html"
    out = Path(out) if out is not None else usual
    own = len(paths) == 1 and out.resolve() == usual.resolve()  # a run's own page is made again
    if not own:
        require_free([out], force)
        for path in paths:
            require_no_file_of(path, out)
    evaluated = [_evaluated(RunFolder(path).require(), data, device, warn) for path in paths]
    for sentence in results.unlike([result for result, _ in evaluated]):
        warn(sentence)
    found = [_run_report(RunFolder(path), *parts) for path, parts in zip(paths, evaluated, strict=True)]
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        found = [replace(run, name=run.path) for run in found]
    write_text(out, report_page(found), replace=own or force)
    return out


def _evaluated(folder: RunFolder, data: Path | str | None, device: str, warn: Warn) -> tuple[Evaluation, Gallery]:
    """The evaluation of the test scenes of ``data`` or of the run's own, made if the folder does not hold it."""
    origin = folder.data()
    name, own = results.usual_name("test"), origin.get("sha256")
    path = Path(data) if data is not None else Path(origin["path"])
    sha256 = sha256_of(_file(path)) if data is not None or is_regular(path) else own
    found = kept_files(folder.path, name) if data is None or sha256 == own else None
    if sha256 != own:
        name = results.name_of_data("test", str(path), str(sha256))
        if found is not None and own:
            warn(
                f"{path} is not the file that {folder.path} was trained on (expected sha256 {own}): the page shows the "
                "evaluation that was made before"
            )
    found = found or kept_files(folder.path, name)
    if found is None:
        evaluate(folder.path, data=data, device=device, warn=warn)
        found = kept_files(folder.path, name)
    assert found is not None
    if data is None and own and sha256 == own and found[0].data_sha256 not in (None, own):
        warn(f"{folder.path} was evaluated on another file than it was trained on: expected sha256 {own}")
    return found


def _file(path: Path) -> Path:
    if not path.is_file():
        raise InputFileError(f"{path}: no such file, expected scenes made by airctl generate-data")
    return path


def _run_report(folder: RunFolder, result: Evaluation, gallery: Gallery) -> RunReport:
    variance = folder.path / "variance.json"
    return RunReport(
        name=folder.path.resolve().name,
        path=str(folder.path),
        config=folder.config(),
        command=folder.command(),
        command_is_own=folder.command_is_own(),
        environment=folder.read_results("environment.json"),
        data=folder.data(),
        metrics=folder.read_metrics(),
        frames=checked(folder.read_frames(), str(folder.frames)),
        result=to_json(result),
        gallery=to_json(gallery),
        variance=to_json(read(VarianceReport, variance, "delete it, or measure it again"))
        if variance.exists()
        else None,
    )
