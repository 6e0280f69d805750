"""What a data file or a run is, told from what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airctl import config, scenes
from airctl.training import RunFolder
from airctl.training import checkpoint as checkpoints


def info(path: Path | str) -> dict[str, Any]:
    """What ``path`` is: a scene file (``kind`` "data") or a run folder ("run"). Every byte of a file is checked.

    Of data: its attributes, and of each split the statistics of counts, pixels and boxes. Of a run: its preset,
    estimator, seed, steps, what of the config is not the preset's, its checkpoints, latest and best validation
    accuracy, its data and its results. ``InputFileError`` or ``ConfigError`` for anything else.
    """
    path = Path(path)
    return _run(path) if path.is_dir() else _data(path)


def _data(path: Path) -> dict[str, Any]:
    attributes = scenes.read_attributes(path)
    told: dict[str, Any] = {"kind": "data", "path": str(path), "bytes": path.stat().st_size, **attributes}
    for split in ("train", "test"):
        if attributes[split]:
            told[split] = scenes.statistics(scenes.read_split(path, split))
    return told


def _run(path: Path) -> dict[str, Any]:
    folder = RunFolder(path).require()
    chosen, steps = folder.config(), checkpoints.steps(folder.checkpoints)
    validated = [row for row in folder.read_metrics() if isinstance(row.get("validation_accuracy"), float)]
    best = max(validated, key=lambda row: row["validation_accuracy"], default=None)
    preset = config.dumps(config.preset(chosen.preset)).splitlines()
    section, changed = "", []
    for line in config.dumps(chosen).splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        if line not in preset:
            changed.append(f"{section}.{line.replace(' = ', '=', 1)}")
    data = folder.data()
    return {
        "kind": "run",
        "path": str(path),
        "preset": chosen.preset,
        "estimator": chosen.objective.estimator,
        "seed": chosen.train.seed,
        "step": steps[-1] if steps else None,
        "steps": chosen.train.steps,
        "finished": bool(steps) and steps[-1] >= chosen.train.steps,
        "changed": changed,
        "checkpoints": steps,
        "validation_accuracy": validated[-1]["validation_accuracy"] if validated else None,
        "best_accuracy": best["validation_accuracy"] if best else None,
        "best_step": best["step"] if best else None,
        "data": data,
        "data_is_there": Path(data["path"]).is_file(),
        "results": sorted(p.name for p in path.iterdir() if p.suffix in (".json", ".html", ".csv", ".md")),
        "bytes": sum(p.stat().st_size for p in path.rglob("*") if p.is_file()),
    }
