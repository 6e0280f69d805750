"""From a glimpse x_att to the features that q(z_what | x_att) is read from."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from airctl.config import Config


class Encoder(nn.Module):
    """A glimpse [..., G, G] -> features [..., ``size``]."""

    size: int


class GlimpseEncoder(Encoder):
    """One hidden layer with ReLU over the pixels."""

    def __init__(self, glimpse: int, hidden: int) -> None:
        super().__init__()
        self.size = hidden
        self.layers = nn.Sequential(nn.Linear(glimpse * glimpse, hidden), nn.ReLU())

    def forward(self, glimpse: Tensor) -> Tensor:
        features: Tensor = self.layers(glimpse.flatten(-2))
        return features


ENCODERS: dict[str, Callable[[Config], Encoder]] = {
    "mlp": lambda config: GlimpseEncoder(config.model.glimpse, config.model.glimpse_hidden)
}
