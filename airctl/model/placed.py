"""Objects in their places: what a likelihood needs of them, whether each has a canvas of its own or a small window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class Layers(ABC):
    """M drawn objects of each of B scenes, each in its place."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Each object on a canvas of its own, [B, M, H, W]; grows with pixels times objects: for pictures only."""

    @abstractmethod
    def sum(self, presence: Tensor) -> Tensor:
        """The canvas of the objects, each as far there as ``presence`` [B, M] says, [B, H, W]."""

    @abstractmethod
    def products(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        """<x, y_i> [B, M] with scenes ``canvas`` [B, H, W], and the Gram matrix <y_i, y_j> [B, M, M]."""

    @abstractmethod
    def ink_boxes(self, threshold: float) -> Tensor:
        """Boxes (x0, y0, x1, y1) of the pixels of each object brighter than ``threshold``, [B, M, 4]; empty: zeros."""

    @abstractmethod
    def detach(self) -> Layers:
        """The same, from which nothing can be learnt."""


@dataclass(frozen=True)
class DenseLayers(Layers):
    """A canvas for each object."""

    pasted: Tensor  # [B, M, H, W]

    def dense(self) -> Tensor:
        return self.pasted

    def sum(self, presence: Tensor) -> Tensor:
        canvas: Tensor = (presence[:, None] @ self.pasted.flatten(2)).unflatten(2, self.pasted.shape[2:])[:, 0]
        return canvas

    def products(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        flat = self.pasted.flatten(2)
        return torch.linalg.vecdot(canvas.flatten(1)[:, None], flat), flat @ flat.mT

    def ink_boxes(self, threshold: float) -> Tensor:
        return ink_boxes(self.pasted, threshold)

    def detach(self) -> DenseLayers:
        return DenseLayers(self.pasted.detach())


def ink_boxes(images: Tensor, threshold: float) -> Tensor:
    """The tight boxes (x0, y0, x1, y1) of the pixels of ``images`` [..., H, W] above ``threshold``; empty: zeros."""
    ink = images > threshold
    edges = []
    for along in (-2, -1):  # columns have ink somewhere along y, rows along x
        line = ink.any(along).to(torch.int8)
        low = line.argmax(-1)
        high = line.shape[-1] - line.flip(-1).argmax(-1)
        edges.append((low, torch.where(line.any(-1), high, low)))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], -1)
