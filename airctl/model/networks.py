"""The sub-networks of AIR. Each takes and gives tensors; distributions are made in ``air.py``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer with ReLU."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Embedding(nn.Module):
    """What the LSTM reads of a canvas: [B, D, D] -> [B, size]."""

    size: int


class RawEmbedding(Embedding):
    """The pixels themselves, as in the AIR paper: [B, D, D] -> [B, D * D]."""

    def __init__(self, canvas: int) -> None:
        super().__init__()
        self.size = canvas * canvas

    def forward(self, canvas: Tensor) -> Tensor:
        return canvas.flatten(1)


class ConvEmbedding(Embedding):
    """Three convolutions of stride 2: [B, D, D] -> [B, E]. Departs from the paper, which reads the pixels.

    With the pixels the LSTM does not see that two touching digits are two (docs/experiments.md); a small
    convolutional embedding is what the inference network lacked.
    """

    def __init__(self, canvas: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        side = math.ceil(canvas / 8)
        self.size = 32 * side * side

    def forward(self, canvas: Tensor) -> Tensor:
        embedding: Tensor = self.layers(canvas[:, None])
        return embedding


EMBEDDINGS: dict[str, Callable[[int], Embedding]] = {"raw": RawEmbedding, "conv": ConvEmbedding}


class Cell(nn.Module):
    """An LSTM cell whose input comes in two parts: a constant one, projected once a scene, and the step's own.

    The canvas does not change over the steps, so its projection (the largest product of the paper's network) is
    hoisted out of the recurrence; before the first step there is nothing to recur on. Same equations as
    ``torch.nn.LSTMCell`` with the state and the step's own input zero at the start.
    """

    def __init__(self, constant: int, step: int, hidden: int) -> None:
        super().__init__()
        # Kept as [inputs, 4H]: its gradient is then the product of the faster order.
        self.constant_weight = nn.Parameter(torch.empty(constant, 4 * hidden))
        self.constant_bias = nn.Parameter(torch.empty(4 * hidden))
        self.recurrent = nn.Linear(step + hidden, 4 * hidden, bias=False)
        bound = hidden**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def constant(self, inputs: Tensor) -> Tensor:
        """The projection of the constant input [B, E] -> [B, 4H], once for all steps."""
        return torch.addmm(self.constant_bias, inputs, self.constant_weight)

    def first(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """The state (h, c), [B, H] each, after the first step from ``projected`` = constant(input) [B, 4H]."""
        i, _, g, o = projected.chunk(4, 1)
        c = i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def forward(self, projected: Tensor, step: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The state after a later step with its own input ``step`` [B, S]."""
        h, c = state
        i, f, g, o = (projected + self.recurrent(torch.cat([step, h], 1))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GlimpseDecoder(nn.Module):
    """p(y_att | z_what): z_what [B, C] -> object [B, G, G] in (0, 1).

    ``bias`` shifts the output so that training starts from a nearly empty object: a grey start teaches the model
    to switch its steps off before it has learnt to draw.
    """

    def __init__(self, what: int, hidden: int, glimpse: int, bias: float) -> None:
        super().__init__()
        self.layers = mlp(what, hidden, glimpse * glimpse)
        self.glimpse, self.bias = glimpse, bias

    def forward(self, z_what: Tensor) -> Tensor:
        return torch.sigmoid(self.layers(z_what) + self.bias).unflatten(-1, (self.glimpse, self.glimpse))


def positive(raw: Tensor, start: float, most: float = 0.0) -> Tensor:
    """A standard deviation above 0, ``start`` where ``raw`` is 0; unless ``most`` is 0, bent to stay below it."""
    free = F.softplus(raw + math.log(math.expm1(start))) + 1e-4
    return most * torch.tanh(free / most) if most else free
