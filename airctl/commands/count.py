"""Learn the objects of some pictures, and count them: ``airctl count``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from airctl import config as configs
from airctl.commands.found_files import FoundFiles, check_folder
from airctl.commands.import_pictures import import_pictures
from airctl.commands.infer import found_in
from airctl.commands.loaded import load
from airctl.commands.shares import Shares
from airctl.commands.train import train
from airctl.config import Config
from airctl.errors import ConfigError
from airctl.group import current
from airctl.inference import Found, check_choices
from airctl.results.training import TrainResult
from airctl.scenes import Fitting
from airctl.scenes.own_pictures import Refuse
from airctl.training import Progress

STEPS = 600
# A crop may be crowded, and validation has no counts to look at.
RECIPE = ("model.fade=0.2", "model.num_steps=8", "network.dense=2", "train.validate_every=600", "train.validation=1000")


def recipe(seed: int = 0, steps: int = STEPS) -> Config:
    """Preset fast for crops of pictures: a short training."""
    return configs.override(configs.preset("fast"), [*RECIPE, f"train.steps={steps}", f"train.seed={seed}"])


def count(
    pictures: Sequence[Path | str],
    out: Path | str = "found",
    *,
    run: Path | str | None = None,
    object_size: float | None = None,
    channel: str | None = None,
    invert: str | None = None,
    background: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
    steps: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    min_score: float = 0.0,
    exclude_edges: bool = False,
    formats: Sequence[str] = (),
    force: bool = False,
    refuse: Refuse | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda message: None,
    trained: Callable[[TrainResult], None] = lambda result: None,
) -> Iterator[Found]:
    """Learn what the objects of ``pictures`` look like, and count them: no labels, no model, some minutes.

    Into the folder ``out`` go the scenes to learn from, the run, the tables counts.csv and objects.csv, the pictures
    with boxes, a page that shows them, and files of other ``formats``. What ``object_size`` and the others mean is said
    of ``import_pictures``. With ``run``, a model that there is already, nothing is learnt: ``object_size``, ``channel``
    and ``invert`` are then those of ``Fitting``.

    Under torchrun the processes share the training and the pictures; what is found is the first one's.

    ``trained`` is told how the training ended; if a signal stopped it, nothing is counted. ``refuse`` is given the
    error of a picture that cannot be read, or that objects of the size that was said do not fit into; without it, that
    ``InputFileError`` is raised. ``ConfigError`` if ``out`` holds something and ``force`` is not given, and with
    ``run`` for a choice that only learning could obey.
    """
    out, group = Path(out), current()
    if run is not None:
        _nothing_is_learnt(steps=steps, seed=seed, background=background)
    group.told(lambda: check_folder(out, force))
    learnt_size: float | None = None
    if run is None:
        data, run = out / "scenes.h5", out / "run"
        folder = run

        def look() -> None:
            import_pictures(
                pictures, data, object_size=object_size, channel=channel, invert=invert,
                background=background or "flat", dataset=dataset, seed=seed or 0, preview=out / "preview.png",
                force=force, refuse=refuse, say=say,
            )  # fmt: skip
            if force and (folder / "config.toml").is_file():
                shutil.rmtree(folder)

        say("looking at the pictures")
        group.told(look)
        chosen = recipe(seed or 0, steps or STEPS)
        result = train(data, run, chosen, device=device, threads=threads, on_progress=on_progress, say=say)
        trained(result)
        if result.stopped_by is not None:
            return
        loaded, fitting, learnt_size = load(run, device=device), Fitting(), object_size
    else:
        loaded = load(run, device=device)
        fitting = Fitting(object_size=object_size, channel=channel or "auto", invert=invert or "auto")
        check_choices(loaded.model, fitting)
        if threads is not None:
            torch.set_num_threads(threads)
    found = found_in(
        loaded, pictures, fitting, Shares(1, 1, group), dataset=dataset, refuse=refuse, fit_in=learnt_size,
        min_score=min_score, exclude_edges=exclude_edges,
    )  # fmt: skip
    if not group.leads:
        yield from found
        return
    with FoundFiles(out, ("csv", *formats), origin=loaded.origin) as files:
        for one in found:
            files.add(one)
            yield one


def _nothing_is_learnt(**choices: object) -> None:
    for name, value in choices.items():
        if value is not None:
            raise ConfigError(f"{name}={value} has no effect with run, which is not trained again: leave it out", name)
