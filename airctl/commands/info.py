"""What a scene file, a run folder or an exported model is, told from what it holds: ``airctl info``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from airctl import config, scenes
from airctl.commands.loaded import load, place_of
from airctl.config import Config
from airctl.files import is_regular, sha256_of
from airctl.results.summary import DataOrigin, DataSummary, ModelSummary, RunSummary, SplitSummary
from airctl.training import RunFolder, exported
from airctl.training import checkpoint as checkpoints


def info(path: Path | str) -> DataSummary | RunSummary | ModelSummary:
    """What ``path`` is: a scene file, a run folder or an exported model, which may be the name of one of airctl's own.

    Every byte of a file is checked. ``InputFileError`` or ``ConfigError`` for anything else.
    """
    path = place_of(path)
    if path.is_dir():
        return _run(path)
    return _model(path) if path.suffix == exported.SUFFIX else _data(path)


def changed(chosen: Config) -> list[str]:
    """What of a config is not its preset's, as ``section.key=value``."""
    usual = config.settings(config.preset(chosen.preset))
    return [f"{key}={config.toml(value)}" for key, value in config.settings(chosen).items() if value != usual[key]]


def _data(path: Path) -> DataSummary:
    told: dict[str, Any] = dict(scenes.read_attributes(path))
    how = asdict(scenes.picture_of(told)) if told["preset"] == scenes.IMPORTED else None
    size = scenes.told_size(told)
    told = {name: value for name, value in told.items() if not name.startswith(("picture_", "ink_size", "object_size"))}
    file_schema, sizes = told.pop("schema"), {split: told.pop(split) for split in ("train", "test")}
    statistics: dict[str, Any] = {split: _split(path, split) if number else None for split, number in sizes.items()}
    sha256 = sha256_of(path)
    return DataSummary(
        path=str(path), bytes=path.stat().st_size, sha256=sha256, file_schema=file_schema, picture=how,
        object_size=size, **told, **statistics,
    )  # fmt: skip


def _split(path: Path, split: str) -> SplitSummary:
    with scenes.open_split(path, split) as stored:
        return SplitSummary(**scenes.statistics(stored.blocks()))


def _run(path: Path) -> RunSummary:
    folder = RunFolder(path).require()
    chosen, steps, told = folder.config(), checkpoints.steps(folder.checkpoints), folder.data()
    validated = [row for row in folder.read_metrics() if isinstance(row.get("validation_accuracy"), float)]
    best = max(validated, key=lambda row: row["validation_accuracy"], default=None)
    return RunSummary(
        path=str(path),
        preset=chosen.preset,
        estimator=chosen.objective.estimator,
        seed=chosen.train.seed,
        step=steps[-1] if steps else None,
        steps=chosen.train.steps,
        finished=bool(steps) and steps[-1] >= chosen.train.steps,
        changed=changed(chosen),
        checkpoints=steps,
        validation_accuracy=validated[-1]["validation_accuracy"] if validated else None,
        best_accuracy=best["validation_accuracy"] if best else None,
        best_step=best["step"] if best else None,
        data=DataOrigin(told["path"], told.get("sha256")),
        data_exists=is_regular(Path(told["path"])),
        results=sorted(p.name for p in path.iterdir() if p.suffix in (".json", ".html", ".csv", ".md")),
        bytes=sum(p.stat().st_size for p in path.rglob("*") if p.is_file()),
    )


def _model(path: Path) -> ModelSummary:
    loaded, header = load(path, device="cpu"), exported.read_header(path)
    return ModelSummary(
        path=str(path),
        bytes=path.stat().st_size,
        weights_sha256=header.sha256,
        airctl=header.airctl,
        run=header.run,
        preset=loaded.config.preset,
        estimator=loaded.config.objective.estimator,
        seed=loaded.config.train.seed,
        step=header.step,
        changed=changed(loaded.config),
        data=header.data,
    )
