"""Train a model into a run folder, or go on with one: ``airctl train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from airctl import config as configs
from airctl import scenes
from airctl.config import Config
from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, sha256_of
from airctl.group import Group, current
from airctl.model import require_known
from airctl.reporting.figures import save, training_figures
from airctl.results.frames import checked
from airctl.results.training import TrainResult
from airctl.training import Progress, RunFolder, Session, pick_device
from airctl.training.tensorboard import Board


def train(
    data: Path | str | None,
    run: Path | str,
    config: Config | None = None,
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
    """Train ``config`` (by default preset fast) on the train split of ``data`` into the folder ``run``.

    With ``resume`` it goes on with the run that is there, if one is; ``data`` and ``config`` may then be None, and are
    the run's. Stopped by Ctrl-C or SIGTERM it finishes the step, saves, and returns with ``stopped_by`` set. Raises
    ``ConfigError`` for a folder that already holds a run (without ``resume``) or another one (with it),
    ``RunInUseError`` while another process writes there, ``NotFiniteError`` when even an eighth of the learning rate
    does not keep the loss finite.

    Under torchrun all processes share the run: each has its part of every batch, and the first owns the folder.

    ``say`` is told what happens, and ``warn`` (by default ``say``) of a model that stops learning to count.
    ``tensorboard`` keeps the metrics in the run's tensorboard folder too.
    """
    group = current()
    if not group.leads:
        tensorboard, on_progress, say, warn = False, lambda progress: None, lambda message: None, None
    folder, started = RunFolder(Path(run)), started_config(run)
    with group.leader_first():
        if started is not None and not resume:
            raise ConfigError(
                f"{run} already holds a run: say resume=True to go on with it, or choose another run folder", "resume"
            )
        config = config or started or configs.preset("fast")
        data = Path(data) if data is not None else _own_data(folder, started is not None)
        board = Board(folder.path / "tensorboard") if tensorboard else None
        torch.set_num_threads(threads or min(2, torch.get_num_threads()))
        chosen = pick_device(device)
        split = scenes.keep_split(data, "train")
        told = scenes.read_attributes(data)
        size = scenes.object_size(told, split.boxes, split.images.shape[-1])
        config = replace(fit_to_data(config, split.images.shape, size), picture=scenes.picture_of(told))
        require_known(config)
        _require_a_scene_each(config, group)
        # Refuses before anything is written.
        session = Session(folder, config, split, chosen, on_progress, say, warn or say, board, group)

    def claim() -> None:
        held.enter_context(folder.lock())
        if (folder.path / "config.toml").exists():
            _check_same_run(folder, config, data)
        else:
            folder.create(config, {"path": str(data.resolve()), "sha256": sha256_of(data), **told}, command)

    def draw() -> None:
        frames = checked(folder.read_frames(), str(folder.frames))
        save(training_figures(folder.read_metrics(), frames), folder.figures)

    with ExitStack() as held:
        group.told(claim)
        shared = f", {group.size} processes" if group.size > 1 else ""
        say(f"writing to {run}, threads {torch.get_num_threads()}, device {chosen}{shared}")
        result = session.run()
        group.told(draw)  # and none ends before
    return result


def started_config(run: Path | str) -> Config | None:
    """The config of the run in a folder; None where none was started."""
    folder = RunFolder(Path(run))
    return current().told(lambda: folder.config() if is_regular(folder.path / "config.toml") else None)


def _require_a_scene_each(config: Config, group: Group) -> None:
    if config.train.batch < group.size:
        raise ConfigError(
            f"train.batch={config.train.batch} is less than a scene for each of {group.size} processes: make it larger"
        )


def fit_to_data(config: Config, shape: tuple[int, ...], object_size: float = 22.0) -> Config:
    """The config with the canvas side of the data [S, D, D], and the size of its objects in pixels if it says none.

    ``ConfigError`` if the config and the data contradict each other.
    """
    if shape[1] != shape[2]:
        raise ConfigError(f"the scenes are {shape[2]}x{shape[1]} pixels: expected square ones")
    if config.model.canvas not in (0, shape[1]):
        raise ConfigError(f"model.canvas is {config.model.canvas}, but the scenes have {shape[1]} pixels a side")
    if config.network.kind == "recurrent":  # its poses are in units of the canvas
        object_size = 0.0
    size = config.model.object_size or object_size
    return replace(config, model=replace(config.model, canvas=shape[1], object_size=size))


def _own_data(folder: RunFolder, started: bool) -> Path:
    if not started:
        raise ConfigError(f"{folder.path} holds no run to go on with: to start one, name the scene file to train on")
    told = folder.data()
    path = Path(told["path"])
    if not is_regular(path):
        raise InputFileError(
            f"{path}, which {folder.path} is trained on, is gone: name the scene file where it is now "
            f"(expected sha256 {told.get('sha256')})"
        )
    return path


def _check_same_run(folder: RunFolder, config: Config, data: Path) -> None:
    """More steps than before is how a finished run is prolonged; all else must be what it was."""
    before, after = ({**configs.settings(one), "preset": one.preset} for one in (folder.config(), config))
    differ = [key for key in before if before[key] != after[key] and key != "train.steps"]
    if differ:
        key = differ[0]
        more = f", and {len(differ) - 1} more differ" if len(differ) > 1 else ""
        raise ConfigError(
            f"{folder.path} was started with another config: {key} is {configs.toml(before[key])} there and "
            f"{configs.toml(after[key])} was asked for{more}; leave it out, or choose another run folder"
        )
    wanted, found = folder.data().get("sha256"), sha256_of(data)
    if wanted != found:
        raise ConfigError(
            f"{folder.path} was trained on another file than {data}: its sha256 is {wanted}, and this one's {found}; "
            "choose another run folder"
        )
