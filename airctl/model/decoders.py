"""p(y_att | z_what): from the numbers of an object to its picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from airctl.config import Config
from airctl.model.networks import mlp


class GlimpseDecoder(nn.Module):
    """p(y_att | z_what): z_what [B, C] -> object [B, G, G] in (0, 1).

    ``bias`` shifts the output so that training starts from a nearly empty object: a grey start teaches the model
    to switch its steps off before it has learnt to draw. Over the share ``fade`` of its side an object grows darker
    towards the edge of its glimpse, so that it is best drawn from its middle, and alone.
    """

    def __init__(self, what: int, hidden: int, glimpse: int, bias: float, fade: float = 0.0) -> None:
        super().__init__()
        self.layers = mlp(what, hidden, glimpse * glimpse)
        self.glimpse, self.bias, self.fades = glimpse, bias, fade > 0
        place = (torch.arange(glimpse) + 0.5) / glimpse
        side = (torch.minimum(place, 1 - place) / max(fade, 1e-9)).clamp(max=1)
        self.register_buffer("window", side[:, None] * side, persistent=False)
        self.window: Tensor

    def forward(self, z_what: Tensor) -> Tensor:
        drawn: Tensor = torch.sigmoid(self.layers(z_what) + self.bias).unflatten(-1, (self.glimpse, self.glimpse))
        return drawn * self.window if self.fades else drawn


DECODERS: dict[str, Callable[[Config], nn.Module]] = {
    "mlp": lambda config: GlimpseDecoder(
        config.model.what,
        config.model.glimpse_hidden,
        config.model.glimpse,
        config.model.decoder_bias,
        config.model.fade,
    )
}
