"""One full training step of each contender: fetch a batch, forward, backward, optimiser, and the ELBO as a number.

All of them see the same scenes in the same order and have the same batch. airctl's step is the very function that
``airctl train`` calls (``training_step``), its checks for finite numbers included.
"""

from __future__ import annotations

from collections.abc import Callable

import pyro
import torch
from torch import Tensor

from airctl.commands.train import fit_to_data
from airctl.config import Config, override, preset
from airctl.model import Geometric
from airctl.training import Learner, training_step
from airctl.training.randomness import SceneOrder
from benchmarks.pyro_air import PyroAIR, make_svi

Step = Callable[[], float]  # does the next step, returns the batch's mean ELBO in nats a scene


class AirctlStep:
    """The step of ``airctl train`` for one config."""

    def __init__(self, config: Config, images: Tensor) -> None:
        self.config = fit_to_data(config, tuple(images.shape))
        self.images, self.order = images, SceneOrder(0, len(images), config.train.batch)
        self.learner, self.step = Learner.build(self.config, images.device), 0

    def __call__(self) -> float:
        batch = self.images[torch.from_numpy(self.order.at(self.step))]
        surrogate = training_step(self.learner, self.config, batch, self.step)
        self.step += 1
        return surrogate.elbo.mean().item()


class PyroStep:
    """``svi.step`` of the AIR in ``pyro_air``; ``tuned`` adds fused Adam and turns Pyro's argument checks off."""

    def __init__(self, config: Config, images: Tensor, tuned: bool) -> None:
        self.config = fit_to_data(config, tuple(images.shape))
        self.images, self.order = images, SceneOrder(0, len(images), config.train.batch)
        self.tuned, self.step = tuned, 0
        # Pyro keeps parameters in one global store, by name: each contender has a store of its own.
        self.store = {"params": {}, "constraints": {}}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.air = PyroAIR(self.config)
        self.svi = make_svi(self.air, fused=tuned)

    def __call__(self) -> float:
        batch = self.images[torch.from_numpy(self.order.at(self.step))].float() / 255
        continuing = Geometric(self.config.count, self.config.train.steps).at(self.step)
        # Without its own checks Pyro is faster; airctl's distributions do not check either.
        with pyro.get_param_store().scope(self.store), pyro.validation_enabled(not self.tuned):
            loss = self.svi.step(batch, continuing)
        self.step += 1
        return -loss / len(batch)


def airctl(name: str, *settings: str) -> Callable[[Tensor], Step]:
    """A contender from a preset and ``section.key=value`` settings."""
    return lambda images: AirctlStep(override(preset(name), settings), images)


CONTENDERS: dict[str, Callable[[Tensor], Step]] = {
    "airctl score-function-neural": airctl("paper"),
    "Pyro": lambda images: PyroStep(preset("paper"), images, tuned=False),
    "Pyro, tuned": lambda images: PyroStep(preset("paper"), images, tuned=True),
    "airctl exact, same network": airctl("paper", "objective.estimator=exact"),
    "airctl exact, preset recurrent": airctl("recurrent"),
    "airctl marginal, preset fast": airctl("fast"),
}
