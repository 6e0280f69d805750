"""From a glimpse x_att to the features that q(z_what | x_att) is read from."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from airctl.config import Config


class Encoder(nn.Module):
    """A glimpse [..., G, G] -> features [..., ``size``]."""

    size: int


class GlimpseEncoder(Encoder):
    """One hidden layer with ReLU over the pixels: 314 000 parameters with the default sizes (G 28, 400 hidden)."""

    def __init__(self, glimpse: int, hidden: int) -> None:
        super().__init__()
        self.size = hidden
        self.layers = nn.Sequential(nn.Linear(glimpse * glimpse, hidden), nn.ReLU())

    def forward(self, glimpse: Tensor) -> Tensor:
        features: Tensor = self.layers(glimpse.flatten(-2))
        return features


class ConvEncoder(Encoder):
    """Three 3x3 convolutions of stride 2 and one hidden layer, all with ReLU: 219 248 parameters in all."""

    def __init__(self, glimpse: int, hidden: int) -> None:
        super().__init__()
        self.size = hidden
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * math.ceil(glimpse / 8) ** 2, hidden),
            nn.ReLU(),
        )

    def forward(self, glimpse: Tensor) -> Tensor:
        features: Tensor = self.layers(glimpse.flatten(0, -3)[:, None]).unflatten(0, glimpse.shape[:-2])
        return features


ENCODERS: dict[str, Callable[[Config], Encoder]] = {
    "mlp": lambda config: GlimpseEncoder(config.model.glimpse, config.model.glimpse_hidden),
    "conv": lambda config: ConvEncoder(config.model.glimpse, config.model.glimpse_hidden),
}
