"""A trained model with its config, and the scenes that it is shown."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from airctl import scenes
from airctl.config import Config
from airctl.errors import ConfigError
from airctl.model import AIR
from airctl.training import Learner, RunFolder, pick_device
from airctl.training import checkpoint as checkpoints


class Loaded:
    """A trained model with the config it was trained by and the checkpoint it comes from."""

    def __init__(self, run: Path, checkpoint: str = "last", device: str = "auto") -> None:
        self.folder = RunFolder(run)
        self.config: Config = self.folder.config()
        self.device = pick_device(device)
        self.path = checkpoints.resolve(self.folder.checkpoints, checkpoint)
        self.learner = Learner.build(self.config, self.device)
        self.step: int = checkpoints.load(self.path, self.learner.modules)["step"]

    @property
    def model(self) -> AIR:
        """The model, on ``device``."""
        return self.learner.model

    def log_p(self, num_steps: int | None = None) -> Tensor:
        """The count prior at the end of its annealing, log p(n) [N + 1]."""
        return self.model.count(num_steps or self.model.reading_size)


def load(run: Path | str, checkpoint: str = "last", device: str = "auto") -> Loaded:
    """Load checkpoint ``last``, ``best`` or a step of a run; every byte is checked against its manifest first."""
    return Loaded(Path(run), checkpoint, device)


def scenes_of(loaded: Loaded, data: Path | None, split: str) -> tuple[Path, Tensor, scenes.SceneSplit]:
    """The path, the images uint8 [S, D, D] on the model's device and all else of a split, checked to fit the model."""
    path = data or Path(loaded.folder.data()["path"])
    found = scenes.read_split(path, split)
    side = loaded.config.model.canvas
    if found.images.shape[1:] != (side, side):
        height, width = found.images.shape[1:]
        raise ConfigError(f"{path} has scenes of {width}x{height} pixels, but the run was trained on {side}x{side}")
    if not len(found.images):
        raise ConfigError(f"{path} has no scenes in its {split} split: name another --split or file")
    return path, torch.from_numpy(found.images).to(loaded.device), found
