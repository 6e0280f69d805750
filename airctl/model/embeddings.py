"""What the recurrent network reads of a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable

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


EMBEDDINGS: dict[str, Callable[[int], Embedding]] = {"raw": RawEmbedding, "conv": ConvEmbedding}  # canvas side ->
