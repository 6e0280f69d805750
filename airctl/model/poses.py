"""z_where: what a pose means, its prior, and how a glimpse is cropped and an object pasted at one."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints, register_kl

from airctl.config import PriorConfig
from airctl.model.attention import boxes, crop, paste
from airctl.model.placed import DenseLayers, Layers
from airctl.model.posteriors import loc_and_sd, normal
from airctl.model.windows import WindowLayers, Windows


class Poses(nn.Module, ABC):
    """The meaning of z_where = (scale or size, x, y)."""

    @abstractmethod
    def prior(self, canvas: Tensor) -> Distribution:
        """p(z_where) on canvases of the size of ``canvas``, event [3]."""

    @abstractmethod
    def from_noise(self, noise: Tensor, canvas: Tensor) -> Tensor:
        """z_where ~ p(z_where) from standard normal ``noise`` [..., 3], on canvases of the size of ``canvas``."""

    @abstractmethod
    def crop(self, canvas: Tensor, z_where: Tensor, glimpse: int) -> Tensor:
        """The glimpses at ``z_where`` [B, 3] or [B, M, 3], [B, G, G] or [B, M, G, G]; outside the canvas is 0."""

    @abstractmethod
    def paste(self, drawn: Tensor, z_where: Tensor, canvas: Tensor) -> Layers:
        """Objects ``drawn`` [B, M, G, G] at ``z_where`` [B, M, 3] on canvases of the size of ``canvas``."""

    @abstractmethod
    def boxes(self, z_where: Tensor, canvas: Tensor) -> Tensor:
        """Edges (x0, y0, x1, y1) in pixels [..., 4] of the glimpses at ``z_where`` [..., 3], uncut by the canvas."""


class Relative(Poses):
    """Poses in units of a square canvas (``attention.py``), with a normal prior: the AIR paper's and the report's."""

    def __init__(self, prior: PriorConfig) -> None:
        super().__init__()
        self.register_buffer("where_loc", torch.tensor(prior.where_loc), persistent=False)
        self.register_buffer("where_scale", torch.tensor(prior.where_scale), persistent=False)
        self.where_loc: Tensor
        self.where_scale: Tensor

    def prior(self, canvas: Tensor) -> Independent[Normal]:
        return normal(self.where_loc, self.where_scale)

    def from_noise(self, noise: Tensor, canvas: Tensor) -> Tensor:
        return self.where_loc + self.where_scale * noise

    def crop(self, canvas: Tensor, z_where: Tensor, glimpse: int) -> Tensor:
        if z_where.dim() == 2:
            return crop(canvas, z_where, glimpse)
        each = canvas.repeat_interleave(z_where.shape[1], 0)
        glimpses: Tensor = crop(each, z_where.flatten(0, 1), glimpse).unflatten(0, z_where.shape[:2])
        return glimpses

    def paste(self, drawn: Tensor, z_where: Tensor, canvas: Tensor) -> DenseLayers:
        pasted = paste(drawn.flatten(0, 1), z_where.flatten(0, 1), canvas.shape[-1])
        return DenseLayers(pasted.unflatten(0, z_where.shape[:2]))

    def boxes(self, z_where: Tensor, canvas: Tensor) -> Tensor:
        return boxes(z_where, canvas.shape[-1])


class InPixels(Poses):
    """Poses in pixels: x, y are the object's centre, anywhere on a canvas of any size with the same probability.

    The first number says how large the object is, standard normal under the prior: its side is between ``usual`` /
    ``spread`` and ``usual`` * ``spread`` pixels. All follows from one number, ``object_size``, the side in pixels of an
    object with its margin.
    """

    def __init__(self, object_size: float, tight: float, spread: float) -> None:
        super().__init__()
        self.usual, self.spread = tight * object_size, spread
        self.window = 2 * int(-(-(spread * self.usual + 2) // 2))  # holds the largest object and a pixel around it

    def side(self, z_where: Tensor) -> Tensor:
        """The sides in pixels of objects at ``z_where`` [..., 3], [...]."""
        return self.usual * self.spread ** torch.tanh(z_where[..., 0])

    def windows(self, z_where: Tensor) -> Windows:
        """Where the objects at ``z_where`` [B, M, 3] lie."""
        return Windows.around(z_where[..., 1:].flip(-1), self.side(z_where), self.window)

    def prior(self, canvas: Tensor) -> Anywhere:
        return Anywhere(canvas.new_tensor([canvas.shape[-1], canvas.shape[-2]]))

    def from_noise(self, noise: Tensor, canvas: Tensor) -> Tensor:
        centre = torch.special.ndtr(noise[..., 1:]) * noise.new_tensor([canvas.shape[-1], canvas.shape[-2]])
        return torch.cat([noise[..., :1], centre], -1)

    def crop(self, canvas: Tensor, z_where: Tensor, glimpse: int) -> Tensor:
        windows = self.windows(z_where if z_where.dim() == 3 else z_where[:, None])
        glimpses = windows.crop(windows.patches(canvas), glimpse)
        return glimpses if z_where.dim() == 3 else glimpses[:, 0]

    def paste(self, drawn: Tensor, z_where: Tensor, canvas: Tensor) -> WindowLayers:
        windows = self.windows(z_where)
        height, width = canvas.shape[-2:]
        return WindowLayers(windows, windows.paste(drawn, height, width), height, width)

    def boxes(self, z_where: Tensor, canvas: Tensor) -> Tensor:
        centre, half = z_where[..., 1:], self.side(z_where)[..., None] / 2
        return torch.cat([centre - half, centre + half], -1)


class Anywhere(Distribution):
    """p(size, x, y): the size standard normal, the centre uniform on a canvas of ``extent`` = (width, height) pixels.

    A centre beyond the edge has the density of one inside: poses a little outside are as good as those on the edge.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012

    def __init__(self, extent: Tensor) -> None:
        super().__init__(event_shape=torch.Size([3]), validate_args=False)
        self.extent = extent
        self.log_area = extent.log().sum()

    def log_prob(self, value: Tensor) -> Tensor:
        size = normal(torch.zeros_like(value[..., :1]), torch.ones_like(value[..., :1]))
        log_prob: Tensor = size.log_prob(value[..., :1])
        return log_prob - self.log_area


def _kl_from_anywhere(q: Independent[Normal], p: Anywhere) -> Tensor:
    """KL(N(loc, sd) || p) [...], nats: that of the size in closed form, and log area less the centre's entropy."""
    loc, sd = loc_and_sd(q)
    size = 0.5 * (loc[..., 0].square() + sd[..., 0].square() - 1) - sd[..., 0].log()
    entropy = normal(loc[..., 1:], sd[..., 1:]).entropy()
    nats: Tensor = size + p.log_area - entropy
    return nats


register_kl(Independent, Anywhere)(_kl_from_anywhere)
