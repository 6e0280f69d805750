"""Train a model into a run folder, or go on with one: ``airctl train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from airctl import scenes
from airctl.config import Config
from airctl.errors import ConfigError
from airctl.files import sha256_of
from airctl.reporting.figures import save, training_figures
from airctl.training import Progress, RunFolder, Session, TrainResult, pick_device
from airctl.training.board import Board


def train(
    data: Path,
    run: Path,
    config: Config,
    *,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    tensorboard: bool = False,
    command: Sequence[str] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda message: None,
    warn: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train ``config`` on the train split of ``data`` into the folder ``run``; resume what is there if asked to.

    Stopped by Ctrl-C or SIGTERM it finishes the step, saves, and returns with ``stopped_by`` set. Raises
    ``ConfigError`` for a folder that already holds a run (without ``resume``) or another one (with it),
    ``RunInUseError`` while another process writes there, ``NotFiniteError`` when even an eighth of the learning rate
    does not keep the loss finite.

    ``say`` is told what happens, and ``warn`` (by default ``say``) of a model that stops learning to count.
    ``tensorboard`` keeps the metrics in the run's tensorboard folder too.
    """
    board = Board(run / "tensorboard") if tensorboard else None
    torch.set_num_threads(threads or min(2, torch.get_num_threads()))
    chosen = pick_device(device)
    split = scenes.read_split(data, "train")
    config = fit_to_data(config, split.images.shape)
    folder = RunFolder(run)
    with folder.lock():
        if (run / "config.toml").exists():
            _check_same_run(folder, config, data, resume)
        else:
            told = {"path": str(data.resolve()), "sha256": sha256_of(data), **scenes.read_attributes(data)}
            folder.create(config, told, command)
        say(f"writing to {run}, threads {torch.get_num_threads()}, device {chosen}")
        result = Session(folder, config, split, chosen, on_progress, say, warn or say, board).run()
        save(training_figures(folder.read_metrics(), folder.read_frames()), folder.figures)
        return result


def fit_to_data(config: Config, shape: tuple[int, ...]) -> Config:
    """The config with the canvas side of the data [S, D, D]; ``ConfigError`` if they contradict each other."""
    if shape[1] != shape[2]:
        raise ConfigError(f"the scenes are {shape[2]}x{shape[1]} pixels: expected square ones")
    if config.model.canvas not in (0, shape[1]):
        raise ConfigError(f"model.canvas is {config.model.canvas}, but the scenes have {shape[1]} pixels a side")
    size = config.model.object_size or 22.0
    return replace(config, model=replace(config.model, canvas=shape[1], object_size=size))


def _check_same_run(folder: RunFolder, config: Config, data: Path, resume: bool) -> None:
    if not resume:
        raise ConfigError(f"{folder.path} already holds a run: pass --resume to go on with it, or choose another --run")
    before = folder.config()
    # More steps than before is how a finished run is prolonged; all else must be what it was.
    if replace(before, train=replace(before.train, steps=config.train.steps)) != config:
        raise ConfigError(
            f"{folder.path} was started with another config: see its config.toml, or choose another --run"
        )
    if folder.data().get("sha256") != sha256_of(data):
        raise ConfigError(f"{folder.path} was trained on another file than {data}: choose another --run")
