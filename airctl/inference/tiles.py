"""The map of a picture of any size, tile by tile, and the cells of it that propose objects.

Tiles overlap by what the convolutions and the choice of cells can see, so that their size changes nothing but the
memory that is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Map, Proposals
from airctl.model.posteriors import loc_and_sd
from airctl.model.proposals import CELL

STEP = 4  # pixels: corners of tiles are multiples of it, as the convolutions halve the picture twice
LOW = 0.02  # a cell of a lower probability proposes nothing
ROUNDS = 2  # local maxima, then those of what is left without them


@dataclass(frozen=True)
class Candidates:
    """M cells of a picture, by rows, and what the map says of them."""

    cells: Tensor  # int [M, 2] row and column
    logits: Tensor  # [M]
    loc: Tensor  # [M, 3] of q(z_where): size, and x, y in pixels from the cell's upper left corner
    sd: Tensor  # [M, 3]

    def at(self, index: Tensor) -> Candidates:
        """Those of ``index``."""
        return Candidates(*(getattr(self, field.name)[index] for field in fields(self)))

    def split(self, size: int) -> Iterator[Candidates]:
        """Groups of at most ``size``."""
        for index in torch.arange(len(self.cells), device=self.cells.device).split(size):
            if len(index):
                yield self.at(index)


def candidates(network: Proposals, picture: Tensor, tile: int) -> Candidates:
    """All cells of ``picture`` [H, W] worth a look; ``tile`` is the side of a tile in pixels without its overlap."""
    height, width = picture.shape
    tile = max(STEP, tile // STEP * STEP)
    parts = [
        _of_tile(network, picture, (top, left), tile)
        for top in range(0, height, tile)
        for left in range(0, width, tile)
    ]
    every = Candidates(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Candidates)))
    columns = (width + 1) // CELL
    return every.at((every.cells[:, 0] * columns + every.cells[:, 1]).argsort())


def _of_tile(network: Proposals, picture: Tensor, corner: tuple[int, int], tile: int) -> Candidates:
    margin = overlap(network)
    (top, left), (low, right) = ((max(0, k - margin) for k in corner), (k + tile + margin for k in corner))
    seen = network.map(picture[None, top:low, left:right])
    row, column = chosen(seen.logits[0], network.radius).nonzero().unbind(1)
    inside = torch.ones_like(row, dtype=torch.bool)
    for place, start, begin in ((row, top, corner[0]), (column, left, corner[1])):
        inside &= (place * CELL + start >= begin) & (place * CELL + start < begin + tile)
    row, column = row[inside], column[inside]
    return _described(network, seen, row, column, (top, left))


def _described(network: Proposals, seen: Map, row: Tensor, column: Tensor, origin: tuple[int, int]) -> Candidates:
    cells = torch.stack([row, column], 1)
    logits, q_where = network.where(seen, (row * seen.logits.shape[2] + column)[None])
    loc, sd = loc_and_sd(q_where)
    corner = F.pad(cells.flip(1) * CELL, (1, 0))
    start = cells.new_tensor(origin) // CELL
    return Candidates(cells + start, logits[0], loc[0] - corner, sd[0])


def chosen(logits: Tensor, radius: int) -> Tensor:
    """Which cells of a map ``logits`` [h, w] propose objects, bool [h, w].

    Local maxima, and the local maxima of what is left without them: of two objects that touch the map often makes one
    hill, and the posterior cannot take two where one is proposed. All of it depends on near cells only.
    """
    least = math.log(LOW / (1 - LOW))
    taken = torch.zeros_like(logits, dtype=torch.bool)
    for _ in range(ROUNDS):
        left = logits.masked_fill(taken, -math.inf)
        highest = F.max_pool2d(left[None, None], 2 * radius + 1, 1, radius)[0, 0]
        taken = taken | ((left == highest) & (left > least))
    return taken


def overlap(network: Proposals) -> int:
    """How many pixels a tile must see beyond its edge, a multiple of ``STEP``."""
    reach, stride = 0, 1
    for layer in network.map.layers:
        if isinstance(layer, nn.Conv2d):
            reach += stride * layer.dilation[0] * (layer.kernel_size[0] // 2)
            stride *= layer.stride[0]
    needed = reach + stride + ROUNDS * network.radius * CELL
    return -(-needed // STEP) * STEP
