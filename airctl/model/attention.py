"""The spatial transformer for poses of scale and shift: crop a glimpse from the canvas, paste one onto it.

A pose z_where = (scale, x, y) takes canvas coordinates u in [-1, 1] to glimpse coordinates v = scale * u - (x, y):
``scale`` is canvas side / glimpse side (3 = a third of the canvas) and the glimpse's centre lies at (x, y) / scale.
Without rotation the bilinear kernel is a product of two one-dimensional hats, so crop and paste are two matrix products
each: equal to affine_grid + grid_sample (bilinear, zeros, align_corners=False), and deterministic on every device.

Jaderberg et al. 2015 ("Spatial transformer networks"); Eslami et al. 2016, section 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def crop(canvas: Tensor, z_where: Tensor, glimpse: int) -> Tensor:
    """Cut the glimpse at ``z_where`` [B, 3] out of ``canvas`` [B, D, D] -> [B, G, G]; outside the canvas is 0."""
    scale, centre = z_where[:, :1, None], z_where[:, 1:, None]  # [B, 1, 1], [B, 2, 1]
    places = (_grid(glimpse, z_where) + centre) / scale  # canvas coordinates of the glimpse's pixels, [B, 2, G]
    weights_x, weights_y = _hats(places, canvas.shape[-1]).unbind(1)  # [B, G, D] each
    return weights_y @ canvas @ weights_x.transpose(1, 2)


def paste(objects: Tensor, z_where: Tensor, canvas: int) -> Tensor:
    """Put ``objects`` [B, G, G] at ``z_where`` [B, 3] onto empty canvases -> [B, D, D]."""
    scale, centre = z_where[:, :1, None], z_where[:, 1:, None]
    places = scale * _grid(canvas, z_where) - centre  # glimpse coordinates of the canvas's pixels, [B, 2, D]
    weights_x, weights_y = _hats(places, objects.shape[-1]).unbind(1)  # [B, D, G] each
    return weights_y @ objects @ weights_x.transpose(1, 2)


def boxes(z_where: Tensor, canvas: int) -> Tensor:
    """Edges (x0, y0, x1, y1) in pixels [..., 4] of the glimpses at ``z_where`` [..., 3]; they may leave the canvas."""
    scale, centre = z_where[..., :1], z_where[..., 1:]
    low, high = (centre - 1) / scale, (centre + 1) / scale
    return (torch.cat([low, high], -1) + 1) * (canvas / 2)


def _grid(side: int, like: Tensor) -> Tensor:
    """Centres of ``side`` pixels in [-1, 1] (align_corners=False), [side]."""
    return (torch.arange(side, dtype=like.dtype, device=like.device) * 2 + 1) / side - 1


def _hats(places: Tensor, side: int) -> Tensor:
    """Bilinear weights of ``side`` pixels for coordinates ``places`` [..., P] in [-1, 1] -> [..., P, side]."""
    pixels = torch.arange(side, dtype=places.dtype, device=places.device)
    at = (places + 1) * (side / 2) - 0.5  # in units of pixels
    return (1 - (at[..., None] - pixels).abs()).relu()
