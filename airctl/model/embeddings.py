"""What the recurrent network reads of a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


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


class _Block(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, beside a 1x1 convolution that goes past them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.within = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.past = nn.Conv2d(inputs, outputs, 1, stride=2)

    def forward(self, seen: Tensor) -> Tensor:
        return torch.relu(self.within(seen) + self.past(seen))


class ResidualEmbedding(Embedding):
    """A convolution and two residual blocks of stride 2 each: [B, D, D] -> [B, E], He et al. 2016.

    Without batch normalisation, so that a scene means the same in any company. 34 400 parameters, on a canvas of any
    side; those of the LSTM that reads it grow with E = 32 (D / 8)^2, as with ``conv``, which has 14 304.
    """

    def __init__(self, canvas: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(), _Block(16, 32), _Block(32, 32), nn.Flatten()
        )
        self.size = 32 * math.ceil(canvas / 8) ** 2

    def forward(self, canvas: Tensor) -> Tensor:
        embedding: Tensor = self.layers(canvas[:, None])
        return embedding


EMBEDDINGS: dict[str, Callable[[int], Embedding]] = {  # canvas side ->
    "raw": RawEmbedding,
    "conv": ConvEmbedding,
    "resnet": ResidualEmbedding,
}
