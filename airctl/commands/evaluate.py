"""Compare what a run counts and finds with what is true: ``airctl eval``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from airctl.commands.loaded import Loaded, ShownScenes, Warn, load, scenes_of
from airctl.errors import ConfigError
from airctl.evaluation import evaluate_boxes, evaluate_counts, evaluate_densities, outcomes, shares
from airctl.evaluation.gallery import make_gallery
from airctl.files import write_text
from airctl.group import current
from airctl.inference import find
from airctl.reporting import figures
from airctl.reporting.tables import count_table
from airctl.results import evaluation as results
from airctl.results.as_json import read, to_json
from airctl.results.evaluation import Evaluation
from airctl.results.pictured import Gallery
from airctl.training.randomness import generator

_REMEDY = "delete it, or evaluate it again"


def evaluate(
    run: Path | str,
    *,
    data: Path | str | None = None,
    split: str = "test",
    checkpoint: str = "last",
    num_steps: int | None = None,
    log_likelihood: int | None = None,
    min_accuracy: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    warn: Warn = lambda message: None,
) -> Evaluation:
    """Count the scenes of ``split`` of ``data`` (by default the file that the run was trained on).

    Into the run's folder go the result, its table, the scenes kept for pictures, and pictures: eval-test.json,
    eval-test.md, gallery-test.json and figures/ for the run's own test scenes; other data, and other values than the
    defaults, are part of the names, so that no evaluation replaces another one. An exported model has no such folder,
    and nothing is written.

    Under torchrun all processes share the work, return the result, and the first writes it.

    ``log_likelihood`` is a number of samples, from which log p(x) of each scene is estimated by importance sampling.
    ``num_steps`` lets the model propose more objects than it does by itself; ``accurate_enough`` of the result tells
    whether ``min_accuracy`` was reached. ``warn`` is told if the run's data file is not the one that it was trained on.
    """
    group = current()
    with group.leader_first():
        loaded = load(run, checkpoint, device)
        shown = scenes_of(loaded, data, split, warn)
        if not shown.split.counted.all():
            raise ConfigError(
                f"{shown.path} has no true counts to compare with, since it was made of pictures: "
                "name scenes of generate-data with data=FILE",
                "data",
            )
    model, log_p, true = loaded.model, loaded.log_p(num_steps), shown.split
    found = find(model, shown.images, log_p, shown.path.parent, group)
    noise = generator(seed, "evaluate", 0, loaded.device)
    counted = evaluate_counts(model, shown.images, found.counts, true.counts, log_p, noise, group)
    density_noise = generator(seed, "densities", 0, loaded.device)
    dense = evaluate_densities(model, shown.images, log_p, log_likelihood, density_noise, group)
    named = outcomes(found, true.images, true.boxes)
    measured = {
        field.name: getattr(part, field.name)
        for part in (counted, evaluate_boxes(found, true.boxes), dense)
        for field in fields(part)
    }
    result = Evaluation(
        **measured,
        **_origin(loaded, shown),
        run=str(run),
        split=split,
        checkpoint=checkpoint,
        num_steps=len(log_p) - 1,
        seed=seed,
        outcomes=shares(named),
        accurate_enough=counted.count_accuracy >= min_accuracy,
    )
    if loaded.is_run and group.leads:
        gallery = make_gallery(model, found, true, named, log_p, generator(seed, "gallery", 0, loaded.device))
        _keep(loaded, shown, result, {"step": loaded.step, **gallery})
    return result


def _origin(loaded: Loaded, shown: ShownScenes) -> dict[str, Any]:
    """What an evaluation was made of, by the names that it has in the result."""
    return {
        "data": str(shown.path),
        "data_sha256": shown.sha256,
        "step": loaded.step,
        "weights_sha256": loaded.weights_sha256,
    }


def _keep(loaded: Loaded, shown: ShownScenes, result: Evaluation, gallery: dict[str, object]) -> None:
    """Write the files of an evaluation, the result itself last."""
    folder, name = loaded.folder, name_of(loaded, shown, result)
    place = folder.figures if name == results.usual_name("test") else folder.figures / name
    told = to_json(result)
    figures.save(figures.gallery_figures(told, gallery), place)
    folder.write_json(f"{gallery_name(name)}.json", {"schema": 1, **gallery})
    write_text(folder.path / f"{name}.md", count_table(told) + "\n")
    folder.write_json(f"{name}.json", told)


def name_of(loaded: Loaded, shown: ShownScenes, result: Evaluation) -> str:
    """The name of the files of an evaluation, without their suffix."""
    own = shown.sha256 == loaded.data.sha256
    return results.name(result, own_data=own, num_steps=loaded.model.reading_size)


def gallery_name(name: str) -> str:
    """The name of the gallery that belongs to an evaluation of that ``name``."""
    return "gallery" + name.removeprefix("eval")


def kept(run: Path | str, split: str = "test") -> Evaluation | None:
    """The evaluation of the run's own data with the usual settings, if the run's folder holds one."""
    return next((result for _, result in _kept(Path(run), results.usual_name(split))), None)


def kept_files(run: Path, name: str) -> tuple[Evaluation, Gallery] | None:
    """An evaluation and its gallery, of one checkpoint, if the run's folder holds both."""
    for one, result in _kept(run, name):
        path = run / f"{gallery_name(one)}.json"
        if path.exists() and (gallery := read(Gallery, path, _REMEDY)).step == result.step:
            return result, gallery
    return None


def _kept(run: Path, name: str) -> Iterator[tuple[str, Evaluation]]:
    """The evaluation of that name, and for the run's own test scenes the eval.json that an older airctl wrote."""
    usual = results.usual_name("test")
    for one in (name, "eval") if name == usual else (name,):
        path = run / f"{one}.json"
        found = read(Evaluation, path, _REMEDY) if path.exists() else None
        if found is not None and (one == name or found.split == "test"):
            yield one, found
