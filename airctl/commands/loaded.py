"""A trained model with its config, from a run folder or an exported file, and the scenes that it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airctl import scenes
from airctl.config import Config, hint
from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, sha256_of
from airctl.inference import Found, Images, find_in_pictures
from airctl.model import AIR
from airctl.results.found import FoundOrigin
from airctl.results.summary import DataOrigin
from airctl.scenes import Fitting, Picture, read_scenes
from airctl.training import Learner, RunFolder, exported, pick_device, signed
from airctl.training import checkpoint as checkpoints
from airctl.training.memory import room_of

SHIPPED = ("blobs", "digits")  # models that come with airctl; airctl/weights has a card of each
WEIGHTS = Path(__file__).parent.parent / "weights"

Warn = Callable[[str], None]
_TRIES = 10  # checkpoints that a training may delete, as it does with old ones, before they are read


@dataclass(frozen=True, repr=False)
class Loaded:
    """A trained model and where it comes from; the estimator that trained it need not be known here."""

    run: Path  # the run folder or exported file, as it was named
    path: Path  # the checkpoint, or the exported file
    config: Config
    device: torch.device
    step: int
    model: AIR
    weights_sha256: str
    data: DataOrigin  # the scene file of the training

    @property
    def folder(self) -> RunFolder:
        """The run's folder; ``ConfigError`` for an exported model, which has none."""
        if self.path == self.run:
            raise ConfigError(f"{self.run} is an exported model: expected a run folder")
        return RunFolder(self.run)

    @property
    def is_run(self) -> bool:
        """Whether it comes from a run folder, where results can be kept."""
        return self.path != self.run

    @cached_property
    def learner(self) -> Learner:
        """All that the checkpoint holds: another copy of the model, what its estimator learnt, the optimiser as new."""
        learner = Learner.build(self.config, self.device)
        if self.is_run:
            checkpoints.load(self.path, learner.modules)
        else:
            learner.model.load_state_dict(self.model.state_dict())
        return learner

    def predict(
        self, pictures: Picture | np.ndarray | Path | str | Sequence[Picture | np.ndarray | Path | str],
        fitting: Fitting | None = None,
    ) -> Found | list[Found]:  # fmt: skip
        """What the model finds in a picture, or in each of a list of them.

        A picture is a file, or an array uint8 [h, w] or [h, w, 3], or uint16 [h, w]. ``fitting`` says how it becomes
        what the model reads; by default as in training. Raises ``InputFileError`` for what is no picture, and
        ``ConfigError`` for a choice that has no effect.
        """
        single = isinstance(pictures, Picture | np.ndarray | Path | str)
        each: Sequence[Any] = [pictures] if isinstance(pictures, Picture | np.ndarray | Path | str) else pictures
        read = [one for picture in each for one in _as_pictures(picture)]
        found = list(find_in_pictures(self.model, read, fitting or Fitting()))
        return found[0] if single and len(found) == 1 else found

    @property
    def origin(self) -> FoundOrigin:
        """What says of counts by which model they were made."""
        return FoundOrigin(
            run=str(self.run), step=self.step, weights_sha256=self.weights_sha256, data_sha256=self.data.sha256
        )

    def __repr__(self) -> str:
        name = self.run.stem if self.run.parent == WEIGHTS else self.run
        return f"<airctl model {name}: {self.config.preset}, step {self.step}>"

    def log_p(self, num_steps: int | None = None) -> Tensor:
        """The count prior at the end of its annealing, log p(n) [N + 1]."""
        log_count: Tensor = self.model.count(num_steps or self.model.reading_size)
        return log_count


def load(run: Path | str, checkpoint: str = "last", device: str = "auto", key: Path | str | None = None) -> Loaded:
    """Load checkpoint ``last``, ``best`` or a step of a run folder, or the model in FILE.airctl; every byte is checked.

    ``run`` may be the name of a model that comes with airctl (``SHIPPED``), if nothing else is called so. With a public
    ``key`` of minisign only an exported model is loaded that has a signature by its owner beside it.
    Raises ``InputFileError`` for what is damaged and ``ConfigError`` for what is neither of the two, and for another
    ``checkpoint`` of an exported model, which has one.
    """
    path = place_of(run)
    if not path.exists():
        raise ConfigError(
            f"{run} is not a run folder, an exported FILE.airctl, or the name of a model that comes with airctl"
            f"{hint(str(run), SHIPPED)}"
        )
    if key is not None:
        if not is_regular(path):
            raise ConfigError(f"key={key}: {run} is no exported model, and nothing else is signed", "key")
        signed.check(path, Path(key))
    if not is_regular(path):
        return _checkpoint(path, checkpoint, device)
    if checkpoint != "last":
        raise ConfigError(
            f"checkpoint={checkpoint} has no effect: {run} is an exported model, which has only one: leave it out",
            "checkpoint",
        )
    return _exported(path, pick_device(device))


def place_of(run: Path | str) -> Path:
    """``run`` itself, or the file of the model of that name that comes with airctl, if nothing else is called so."""
    path = Path(run)
    return WEIGHTS / f"{run}.airctl" if str(run) in SHIPPED and not path.exists() else path


def _checkpoint(run: Path, which: str, device: str) -> Loaded:
    folder = RunFolder(run)
    resolved, place = folder.config(), pick_device(device)
    for _ in range(_TRIES):
        path = checkpoints.resolve(folder.checkpoints, which)
        try:
            with room_of(path / checkpoints.TENSORS[0]):
                model = AIR(resolved).eval()
            step = checkpoints.load_model(path, model)["step"]
            weights_sha256 = checkpoints.weights_sha256(path)
            break
        except InputFileError:
            if path.is_dir():
                raise
    else:
        raise InputFileError(f"{run} deletes its checkpoints faster than they are read: expected one that stays")
    told = folder.data()
    sha256 = told.get("sha256")
    origin = DataOrigin(told["path"], sha256 if isinstance(sha256, str) else None)
    return Loaded(run, path, resolved, place, step, model.to(place), weights_sha256, origin)


def _exported(path: Path, device: torch.device) -> Loaded:
    header = exported.read_header(path)
    resolved = header.resolved(path)
    with room_of(path):
        model = AIR(resolved).eval()
    exported.load(path, header, model)
    return Loaded(path, path, resolved, device, header.step, model.to(device), header.sha256, header.data)


@dataclass(frozen=True)
class ShownScenes:
    """A split of a scene file that fits the model."""

    path: Path
    sha256: str  # of the file
    images: Images  # uint8 [S, D, D] for the model's device
    split: scenes.KeptScenes


def scenes_of(
    loaded: Loaded, data: Path | str | None, split: str, warn: Warn = lambda message: None, most: int | None = None
) -> ShownScenes:
    """The scenes of ``split`` of ``data``, or of the file that the model was trained on, checked to fit the model.

    All are checked; of the first ``most``, if that is said. They are in memory only while they are few (``Rows``).

    ``warn`` is told if that file is not the one that it was. ``InputFileError`` names the sha256 of one that is gone.
    """
    path = Path(data) if data is not None else _own_data(loaded)
    side, canvas = loaded.config.model.canvas, scenes.read_attributes(path)["canvas"]
    if canvas != side:
        raise ConfigError(f"{path} has scenes of {canvas}x{canvas} pixels, but the model was trained on {side}x{side}")
    found = scenes.keep_split(path, split, most)
    if not len(found.images):
        raise ConfigError(f"split={split}: {path} has no scenes in it, name the other split or another file", "split")
    sha256 = sha256_of(path)
    if data is None and loaded.data.sha256 not in (None, sha256):
        warn(f"{path} is not the file that {loaded.run} was trained on: expected sha256 {loaded.data.sha256}")
    return ShownScenes(path, sha256, Images(found.images, loaded.device), found)


def _own_data(loaded: Loaded) -> Path:
    """The scene file of the training. An exported model knows its name alone: it may lie where the command is run."""
    path, sha256 = Path(loaded.data.path), loaded.data.sha256
    if not is_regular(path) or not (loaded.is_run or sha256 == sha256_of(path)):
        gone = "gone" if loaded.is_run else "not here"
        raise InputFileError(
            f"{path}, which {loaded.run} was trained on, is {gone}: say where it is with data=FILE "
            f"(expected sha256 {sha256})",
            "data",
        )
    return path


def _as_pictures(picture: Any) -> list[Picture]:
    if isinstance(picture, Picture):
        return [picture]
    if isinstance(picture, np.ndarray):
        return [Picture.of_array(picture)]
    return list(read_scenes([picture]))
