"""Glimpses cropped from a canvas and objects drawn onto it, each in a small window of its own.

A window is W x W pixels whose corner lies on whole pixels; the sub-pixel part of a pose is in the bilinear hats alone.
So crop, paste, <x, y_i> and <y_i, y_j> cost the same on a canvas of any size: nothing here multiplies the pixels of
the canvas by the number of objects.

B batch, M objects of a scene, W window side, G glimpse side; H, V the canvas's height and width. Coordinates are in
pixels (y, x), pixel k covers [k, k + 1]. Jaderberg et al. 2015 ("Spatial transformer networks"); the separable form is
exact for poses of scale and shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from airctl.model.placed import Layers, ink_boxes


@dataclass(frozen=True)
class Windows:
    """Where M objects of B scenes lie."""

    centre: Tensor  # [B, M, 2] (y, x) pixels
    side: Tensor  # [B, M] pixels
    corner: Tensor  # [B, M, 2] int64, the windows' upper left corners; may be outside of the canvas
    width: int  # W

    @classmethod
    def around(cls, centre: Tensor, side: Tensor, width: int) -> Windows:
        """The windows of ``width`` pixels around ``centre``; ``side`` should stay below ``width`` - 1."""
        corner = (centre.detach() - width / 2).round().long()
        return cls(centre, side, corner, width)

    @property
    def local(self) -> Tensor:
        """The centres in their own windows' coordinates, [B, M, 2] pixels."""
        return self.centre - self.corner

    def patches(self, canvas: Tensor) -> Tensor:
        """The windows' pixels of ``canvas`` [B, H, V] -> [B, M, W, W]; 0 outside. No gradient to the canvas."""
        pad = self.width
        padded = F.pad(canvas.detach(), (pad, pad, pad, pad))
        _, height, width = padded.shape
        corner = self.corner + pad
        rows = corner[..., 0].clamp(0, height - self.width)
        columns = corner[..., 1].clamp(0, width - self.width)
        scene = torch.arange(len(canvas), device=canvas.device)[:, None] * (height * width)
        starts = (scene + rows * width + columns)[..., None] + self._steps(width)  # [B, M, W]
        return _runs(padded, starts, self.width)

    def _steps(self, stride: int) -> Tensor:
        return torch.arange(self.width, device=self.corner.device) * stride

    def crop(self, patches: Tensor, glimpse: int) -> Tensor:
        """Sample ``patches`` [B, M, W, W] at the objects' places -> glimpses [B, M, G, G]."""
        unit = (torch.arange(glimpse, dtype=patches.dtype, device=patches.device) + 0.5) / glimpse - 0.5  # [G]
        places = self.local[..., None] + self.side[..., None, None] * unit  # [B, M, 2, G] pixels of the window
        hats_y, hats_x = _hats(places, self.width).unbind(2)  # [B, M, G, W]
        return hats_y @ patches @ hats_x.mT

    def paste(self, drawn: Tensor, height: int, width: int) -> Tensor:
        """Objects ``drawn`` [B, M, G, G] in their windows [B, M, W, W]; black beyond a canvas of that size."""
        glimpse = drawn.shape[-1]
        index = torch.arange(self.width, dtype=drawn.dtype, device=drawn.device)  # [W]
        zoom = (glimpse / self.side)[..., None, None]
        places = (index + 0.5 - self.local[..., None]) * zoom + glimpse / 2  # [B, M, 2, W] in pixels of the glimpse
        at = index + self.corner[..., None]  # [B, M, 2, W] in pixels of the canvas
        inside = (at >= 0) & (at < at.new_tensor([height, width])[:, None])
        hats_y, hats_x = (_hats(places, glimpse) * inside[..., None]).unbind(2)  # [B, M, W, G]
        return hats_y @ drawn @ hats_x.mT

    def onto(self, drawn: Tensor, height: int, width: int) -> Tensor:
        """Add windows ``drawn`` [B, M, W, W] onto one empty canvas per scene -> [B, H, V]."""
        pad, batch = self.width, len(drawn)
        tall, wide = height + 2 * pad, width + 2 * pad
        corner = self.corner + pad
        rows = corner[..., :1].clamp(0, tall - pad) + self._steps(1)  # [B, M, W]
        columns = corner[..., 1:].clamp(0, wide - pad) + self._steps(1)
        places = rows[..., :, None] * wide + columns[..., None, :]
        canvas = drawn.new_zeros(batch, tall * wide).scatter_add(1, places.flatten(1), drawn.flatten(1))
        inside: Tensor = canvas.unflatten(1, (tall, wide))[:, pad:-pad, pad:-pad]
        return inside


@dataclass(frozen=True)
class WindowLayers(Layers):
    """Objects in windows on canvases of ``height`` and ``width``."""

    windows: Windows
    drawn: Tensor  # [B, M, W, W]
    height: int
    width: int

    def dense(self) -> Tensor:
        batch, number, _, side = self.drawn.shape
        one = Windows(
            self.windows.centre.reshape(-1, 1, 2),
            self.windows.side.reshape(-1, 1),
            self.windows.corner.reshape(-1, 1, 2),
            side,
        )
        canvases: Tensor = one.onto(self.drawn.reshape(-1, 1, side, side), self.height, self.width).unflatten(
            0, (batch, number)
        )
        return canvases

    def sum(self, presence: Tensor) -> Tensor:
        return self.windows.onto(self.drawn * presence[..., None, None], self.height, self.width)

    def products(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        b = torch.linalg.vecdot(self.windows.patches(canvas).flatten(2), self.drawn.flatten(2))
        gram: Tensor = _Gram.apply(self.drawn, self.windows.corner)  # type: ignore[no-untyped-call]
        return b, gram

    def ink_boxes(self, threshold: float) -> Tensor:
        local = ink_boxes(self.drawn, threshold)
        some = (local[..., 2:] > local[..., :2]).all(-1, keepdim=True)
        corner = self.windows.corner.flip(-1).repeat(1, 1, 2)
        return torch.where(some, local + corner, local)

    def detach(self) -> WindowLayers:
        return WindowLayers(self.windows, self.drawn.detach(), self.height, self.width)


def _hats(places: Tensor, side: int) -> Tensor:
    """Bilinear weights of ``side`` pixels at ``places`` [..., P] (pixel k centred at k + 0.5) -> [..., P, side]."""
    pixels = torch.arange(side, dtype=places.dtype, device=places.device) + 0.5
    return (1 - (places[..., None] - pixels).abs()).relu()


def _runs(source: Tensor, starts: Tensor, length: int) -> Tensor:
    """``length`` numbers from each of ``starts`` [...] of flattened ``source`` -> [..., length]."""
    flat = source.flatten()
    runs = flat.as_strided((flat.numel() - length + 1, length), (1, 1))
    return runs[starts]


class _Gram(torch.autograd.Function):
    """G_ij = <y_i, y_j>, by what each window shows of the other objects; its gradient needs the same numbers again."""

    @staticmethod
    def forward(ctx: Any, drawn: Tensor, corner: Tensor) -> Tensor:
        seen = _others(drawn, corner)  # [B, M, M, W * W]
        ctx.save_for_backward(seen)
        return (seen @ drawn.flatten(2)[..., None])[..., 0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (seen,) = ctx.saved_tensors
        side = round(seen.shape[-1] ** 0.5)
        weights = (grad + grad.mT)[..., None, :]  # [B, M, 1, M]
        return (weights @ seen)[..., 0, :].unflatten(-1, (side, side)), None


def _others(drawn: Tensor, corner: Tensor) -> Tensor:
    """What window i shows of object j: ``drawn`` [B, M, W, W] -> [B, M (i), M (j), W * W]."""
    batch, number, width, _ = drawn.shape
    # Each object on a tile of its own with W empty pixels around: a window too far away sees only those.
    tile = 3 * width
    tiles = F.pad(drawn, (width, width, width, width))
    shift = (corner[:, :, None] - corner[:, None]).clamp(-width, width) + width  # [B, i, j, 2]
    index = torch.arange(batch * number, device=drawn.device).reshape(batch, 1, number) * tile**2
    starts = (index + shift[..., 0] * tile + shift[..., 1])[..., None]
    starts = starts + torch.arange(width, device=drawn.device) * tile
    return _runs(tiles, starts, width).flatten(3)


def shifted(canvas: Tensor, scenes: Tensor, shift: Tensor) -> Tensor:
    """``canvas``[``scenes``] moved by ``shift`` [P, 2] whole pixels (down, right), 0 from outside -> [P, H, V]."""
    _, height, width = canvas.shape
    padded = F.pad(canvas, (width, width, height, height))
    tall, wide = padded.shape[1:]
    rows = (height - shift[:, 0]).clamp(0, tall - height)
    columns = (width - shift[:, 1]).clamp(0, wide - width)
    starts = (scenes * (tall * wide) + rows * wide + columns)[:, None] + torch.arange(
        height, device=canvas.device
    ) * wide
    return _runs(padded, starts, width)
