"""p(n): Eslami et al. 2016, section 2; "Experiments with AIR" (2019), sections 3 and 4."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from airctl.config import Config, CountConfig


class CountPrior(nn.Module, ABC):
    """p(n), which may change over training."""

    @abstractmethod
    def forward(self, most: int, step: int | None = None) -> Tensor:
        """log p(n) for n = 0..``most``, float64 [most + 1], at training step ``step``; None: at the end of training."""

    def settled(self, step: int) -> bool:
        """Whether it changes no more from ``step`` on."""
        return True


class Geometric(CountPrior):
    """p(n) proportional to p ** n, truncated at ``most``; p, the probability of one more object, is annealed.

    0.01 costs 4.6 nats an object, 1 is uniform.
    """

    def __init__(self, settings: CountConfig, steps: int = 0) -> None:
        """``steps`` of training, of which the annealing takes ``settings.anneal_share`` at most if that is not 0."""
        super().__init__()
        self.settings = settings
        most = settings.anneal_share * steps if settings.anneal_share else math.inf
        self.anneal_steps = min(settings.anneal_steps, most)

    def forward(self, most: int, step: int | None = None) -> Tensor:
        return truncated_geometric(self.settings.probability if step is None else self.at(step), most)

    def settled(self, step: int) -> bool:
        return self.settings.anneal == "none" or step >= self.anneal_steps

    def at(self, step: int) -> float:
        """The probability of one more object at training step ``step``."""
        settings = self.settings
        if self.settled(step):
            return settings.probability
        done = step / self.anneal_steps
        if settings.anneal == "linear":
            return settings.start + done * (settings.probability - settings.start)
        return math.exp((1 - done) * math.log(settings.start) + done * math.log(settings.probability))


def truncated_geometric(probability: float, most: int) -> Tensor:
    """log p(n) for n = 0..``most``, p(n) proportional to probability ** n -> float64 [most + 1]."""
    return torch.log_softmax(torch.arange(most + 1, dtype=torch.float64) * math.log(probability), 0)


COUNT_PRIORS: dict[str, Callable[[Config], CountPrior]] = {
    "geometric": lambda config: Geometric(config.count, config.train.steps)
}
