"""p(y_att | z_what): from the numbers of an object to its picture."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from airctl.config import Config
from airctl.model.networks import mlp


class Decoder(nn.Module, ABC):
    """p(y_att | z_what): z_what [..., C] -> object [..., G, G] in (0, 1).

    ``bias`` shifts the output so that training starts from a nearly empty object: a grey start teaches the model
    to switch its steps off before it has learnt to draw. Over the share ``fade`` of its side an object grows darker
    towards the edge of its glimpse, so that it is best drawn from its middle, and alone.
    """

    def __init__(self, glimpse: int, bias: float, fade: float = 0.0) -> None:
        super().__init__()
        self.glimpse, self.bias, self.fades = glimpse, bias, fade > 0
        place = (torch.arange(glimpse) + 0.5) / glimpse
        side = (torch.minimum(place, 1 - place) / max(fade, 1e-9)).clamp(max=1)
        self.register_buffer("window", side[:, None] * side, persistent=False)
        self.window: Tensor

    @abstractmethod
    def logits(self, z_what: Tensor) -> Tensor:
        """The logit of each pixel less ``bias``, [..., G, G]."""

    def forward(self, z_what: Tensor) -> Tensor:
        drawn = torch.sigmoid(self.logits(z_what) + self.bias)
        return drawn * self.window if self.fades else drawn


class GlimpseDecoder(Decoder):
    """One hidden layer with ReLU: the AIR paper's. 334 784 parameters with the default sizes (C 50, 400, G 28)."""

    def __init__(self, what: int, hidden: int, glimpse: int, bias: float, fade: float = 0.0) -> None:
        super().__init__(glimpse, bias, fade)
        self.layers = mlp(what, hidden, glimpse * glimpse)

    def logits(self, z_what: Tensor) -> Tensor:
        logits: Tensor = self.layers(z_what).unflatten(-1, (self.glimpse, self.glimpse))
        return logits


class ConvDecoder(Decoder):
    """A hidden layer, a quarter of the side in 16 channels, and two steps of doubling and convolving.

    Doubled by repeating pixels and then convolved, as transposed convolutions leave a checkerboard (Odena et al. 2016).
    337 249 parameters with the default sizes.
    """

    def __init__(self, what: int, hidden: int, glimpse: int, bias: float, fade: float = 0.0) -> None:
        super().__init__(glimpse, bias, fade)
        self.side = math.ceil(glimpse / 4)
        self.start = mlp(what, hidden, 16 * self.side**2)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(16, 1, 3, padding=1),
        )

    def logits(self, z_what: Tensor) -> Tensor:
        drawn = self.layers(self.start(z_what.flatten(0, -2)).unflatten(-1, (16, self.side, self.side)))
        logits: Tensor = drawn[:, 0, : self.glimpse, : self.glimpse].unflatten(0, z_what.shape[:-1])
        return logits


class BroadcastDecoder(Decoder):
    """z_what at every pixel, beside where the pixel is, and three convolutions: Watters et al. 2019.

    No layer is as large as the glimpse, so the parameters do not grow with it: 24 545 with the default sizes. The work
    does: many times that of the others.
    """

    CHANNELS = 32

    def __init__(self, what: int, glimpse: int, bias: float, fade: float = 0.0) -> None:
        super().__init__(glimpse, bias, fade)
        side = torch.linspace(-1, 1, glimpse)
        places = torch.stack([side.expand(glimpse, -1), side[:, None].expand(-1, glimpse)])  # [2, G, G] x, y
        self.register_buffer("places", places, persistent=False)
        self.places: Tensor
        channels = self.CHANNELS
        self.layers = nn.Sequential(
            nn.Conv2d(what + 2, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 3, padding=1),
        )

    def logits(self, z_what: Tensor) -> Tensor:
        flat = z_what.flatten(0, -2)
        everywhere = flat[:, :, None, None].expand(-1, -1, self.glimpse, self.glimpse)
        drawn = self.layers(torch.cat([everywhere, self.places.expand(len(flat), -1, -1, -1)], 1))
        logits: Tensor = drawn[:, 0].unflatten(0, z_what.shape[:-1])
        return logits


DECODERS: dict[str, Callable[[Config], nn.Module]] = {
    "mlp": lambda config: GlimpseDecoder(
        config.model.what,
        config.model.glimpse_hidden,
        config.model.glimpse,
        config.model.decoder_bias,
        config.model.fade,
    ),
    "conv": lambda config: ConvDecoder(
        config.model.what,
        config.model.glimpse_hidden,
        config.model.glimpse,
        config.model.decoder_bias,
        config.model.fade,
    ),
    "broadcast": lambda config: BroadcastDecoder(
        config.model.what, config.model.glimpse, config.model.decoder_bias, config.model.fade
    ),
}
