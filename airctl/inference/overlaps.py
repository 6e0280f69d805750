"""Which of many windows overlap, and the inner products of what is drawn in them: never all with all.

M windows of W x W pixels, corners (y, x) on whole pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 1024  # pairs: 20 MB of windows of 36 pixels


def overlapping(corner: Tensor, width: int) -> Tensor:
    """The pairs i != j, each once, of windows that share a pixel: ``corner`` int [M, 2] -> int [P, 2].

    Corners are put on a grid of cells as wide as a window, so that only those of nine cells need be compared.
    """
    cell = torch.div(corner, width, rounding_mode="floor")
    cell = cell - cell.amin(0) + 1 if len(cell) else cell
    stride = int(cell[:, 1].max()) + 2 if len(cell) else 1
    keys, order = (cell[:, 0] * stride + cell[:, 1]).sort(stable=True)
    place = torch.arange(len(keys), device=keys.device)
    pairs = [_between(place, place + 1, torch.searchsorted(keys, keys, right=True))]  # in the same cell
    for step in (1, stride - 1, stride, stride + 1):
        low = torch.searchsorted(keys, keys + step)
        pairs.append(_between(place, low, torch.searchsorted(keys, keys + step, right=True)))
    near = order[torch.cat(pairs)]
    apart = (corner[near[:, 0]] - corner[near[:, 1]]).abs().amax(1)
    return near[apart < width]


def _between(place: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """All pairs of a ``place`` [M] with each number of its own ``low`` .. ``high`` - 1 [M], [P, 2]."""
    many = (high - low).clamp(min=0)
    first = place.repeat_interleave(many)
    within = torch.arange(len(first), device=place.device) - (many.cumsum(0) - many).repeat_interleave(many)
    return torch.stack([first, low.repeat_interleave(many) + within], 1)


def products(drawn: Tensor, corner: Tensor, pairs: Tensor) -> Tensor:
    """<y_i, y_j> [P] of ``pairs`` int [P, 2] of objects ``drawn`` [M, W, W] at ``corner`` int [M, 2]."""
    if not len(pairs):
        return drawn.new_zeros(0)
    swap = (corner[pairs[:, 0], 0] > corner[pairs[:, 1], 0])[:, None]
    upper, lower = torch.where(swap, pairs.flip(1), pairs).unbind(1)
    shift = corner[lower] - corner[upper]
    parts = [
        torch.linalg.vecdot(_seen(drawn[i], step).flatten(1), drawn[j].flatten(1))
        for i, j, step in zip(*(torch.split(each, AT_ONCE) for each in (upper, lower, shift)), strict=True)
    ]
    return torch.cat(parts)


def _seen(drawn: Tensor, shift: Tensor) -> Tensor:
    """What a window ``shift`` [P, 2] >= (0, -W) pixels from that of each object sees of it, [P, W, W] -> [P, W, W]."""
    number, width, _ = drawn.shape
    # W empty pixels to the left, W empty rows below: a row that is read too far goes on in the next one's empty part.
    room = F.pad(drawn, (width, 0, 0, width + 1))
    tall, wide = room.shape[1:]
    starts = torch.arange(number, device=drawn.device) * (tall * wide) + shift[:, 0] * wide + width + shift[:, 1]
    rows = starts[:, None] + torch.arange(width, device=drawn.device) * wide
    return room.flatten().unfold(0, width, 1)[rows]
