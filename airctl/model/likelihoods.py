"""p(x | the objects): from the mean of a scene to a distribution over its pixels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from airctl.config import Config
from airctl.model.codes import Code
from airctl.model.layers import Layers


class Likelihood(nn.Module, ABC):
    """Pixels are independent given the mean, which is the sum of the pasted objects."""

    @abstractmethod
    def forward(self, mean: Tensor) -> Distribution:
        """p(pixel | ``mean``), of the shape of ``mean``."""

    def log_prob(self, canvas: Tensor, mean: Tensor) -> Tensor:
        """log p(x | mean) in nats per scene, summed over the last two dimensions of ``canvas`` and ``mean``."""
        log_prob: Tensor = self(mean).log_prob(canvas)
        return log_prob.sum((-2, -1))

    def codewords(self, canvas: Tensor, layers: Layers, code: Code) -> Tensor:
        """log p(x | codeword) [B, K] of scenes ``canvas`` [B, H, W], by drawing the canvas of each codeword.

        A likelihood with a cheaper way than K canvases overrides this.
        """
        return self.log_prob(canvas[:, None], code.canvases(layers))


class Gaussian(Likelihood):
    """Normal(mean, sd) for each pixel, sd fixed: Eslami et al. 2016; the report, section 4.

    Its log density needs only the squared error, so that a code can give those of all codewords at once.
    """

    def __init__(self, sd: float) -> None:
        super().__init__()
        self.sd = sd

    def forward(self, mean: Tensor) -> Normal:
        return Normal(mean, self.sd, validate_args=False)

    def of_squares(self, squares: Tensor, pixels: int) -> Tensor:
        """The log density, nats, of scenes of ``pixels`` whose mean misses them by a squared error of ``squares``."""
        return -0.5 * squares / self.sd**2 - pixels * math.log(self.sd * math.sqrt(2 * math.pi))

    def log_prob(self, canvas: Tensor, mean: Tensor) -> Tensor:
        rest = (canvas - mean).flatten(-2)
        return self.of_squares(torch.linalg.vecdot(rest, rest), rest.shape[-1])

    def codewords(self, canvas: Tensor, layers: Layers, code: Code) -> Tensor:
        return self.of_squares(code.squares(canvas, layers), canvas[0].numel())


LIKELIHOODS: dict[str, Callable[[Config], Likelihood]] = {"gaussian": lambda config: Gaussian(config.likelihood.sd)}
