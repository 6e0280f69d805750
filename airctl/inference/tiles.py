"""The map of a picture of any size, tile by tile, and the cells of it that propose objects.

Tiles overlap by what the convolutions and the choice of cells can see, so that their size changes nothing but the
memory that is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airctl.model import Map, Proposals
from airctl.model.posteriors import loc_and_sd
from airctl.model.proposals import CELL

STEP = 4  # pixels: corners of tiles are multiples of it, as the convolutions halve the picture twice
SQUARE = 256  # cells a side: proposals are looked at square by square, whatever the tiles
LOW = 0.02  # a cell of a lower probability proposes nothing


@dataclass(frozen=True)
class Candidates:
    """M cells of a picture, square by square, and what the map says of them."""

    cells: Tensor  # int [M, 2] row and column
    logits: Tensor  # [M]
    loc: Tensor  # [M, 3] of q(z_where): size, and x, y in pixels from the cell's upper left corner
    sd: Tensor  # [M, 3]

    def at(self, index: Tensor) -> Candidates:
        """Those of ``index``."""
        return Candidates(*(getattr(self, field.name)[index] for field in fields(self)))

    def groups(self, most: int) -> Iterator[Candidates]:
        """Groups of at most ``most`` that lie in one square."""
        _, sizes = torch.unique_consecutive(self.cells // SQUARE, dim=0, return_counts=True)
        start = 0
        for size in sizes.tolist():
            for index in torch.split(torch.arange(start, start + size, device=self.cells.device), most):
                yield self.at(index)
            start += size


def candidates(network: Proposals, picture: Tensor, tile: int) -> Candidates:
    """All cells of ``picture`` [H, W] worth a look; ``tile`` is the side of a tile in pixels without its overlap."""
    height, width = picture.shape
    tile = max(STEP, tile // STEP * STEP)
    corners = product(range(0, height, tile), range(0, width, tile))
    parts = [_of_tile(network, picture, corner, tile) for corner in corners]
    every = Candidates(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Candidates)))
    return every.at(_by_squares(every.cells))


def _by_squares(cells: Tensor) -> Tensor:
    """The order of ``cells`` [M, 2]: by rows of squares, squares, rows and columns, int [M]."""
    row, column = cells.unbind(1)
    keys = (row // SQUARE, column // SQUARE, row, column)
    order = torch.arange(len(cells), device=cells.device)
    for key in reversed(keys):
        order = order[key[order].argsort(stable=True)]
    return order


def _of_tile(network: Proposals, picture: Tensor, corner: tuple[int, int], tile: int) -> Candidates:
    margin = overlap(network)
    (top, left), (low, right) = ((max(0, k - margin) for k in corner), (k + tile + margin for k in corner))
    seen = network.map(picture[None, top:low, left:right])
    row, column = chosen(seen.logits[0], radius(network)).nonzero().unbind(1)
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
    """Which cells of a map ``logits`` [h, w] propose objects, bool [h, w]: the local maxima within ``radius`` cells."""
    highest = F.max_pool2d(logits[None, None], 2 * radius + 1, 1, radius)[0, 0]
    return (logits == highest) & (logits > math.log(LOW / (1 - LOW)))


def radius(network: Proposals) -> int:
    """Cells around a proposal that must be below it: half as many as in training.

    Of two objects that touch one is often the lower shoulder of the other. What is proposed twice does no harm, as the
    posterior takes one of the two; what is not proposed is not found. Ten composites of 300 digits on 800 x 800 pixels,
    mean absolute error of the count with half the radius and with all of it: 1.0 and 2.1 after 400 steps of training,
    1.4 both after 1 200, where AP at 0.5 is 0.991 and 0.989.
    """
    return max(1, network.radius // 2)


def overlap(network: Proposals) -> int:
    """How many pixels a tile must see beyond its edge, a multiple of ``STEP``."""
    reach, stride = 0, 1
    for layer in network.map.layers:
        if isinstance(layer, nn.Conv2d):
            reach += stride * layer.dilation[0] * (layer.kernel_size[0] // 2)
            stride *= layer.stride[0]
    needed = reach + stride + radius(network) * CELL
    return -(-needed // STEP) * STEP
