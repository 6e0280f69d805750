"""Objects: what an inference network proposes for each scene, and all that an estimator of its gradient needs.

Letters, here and everywhere: B batch, M objects proposed (N steps of a recurrent network), D canvas side, G glimpse
side, C numbers in z_what, H hidden units, K codewords (``codes.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from airctl.batch import normal
from airctl.model.codes import Code
from airctl.model.placed import Layers
from airctl.model.poses import Poses


@dataclass(frozen=True)
class Noise:
    """Standard normal numbers behind one pass; zeros give the posterior means."""

    where: Tensor  # [B, M, 3]
    what: Tensor  # [B, M, C]
    scores: Tensor | None = None  # what a network that chooses where to look adds to its own scores; None: nothing

    @classmethod
    def draw(cls, batch: int, objects: int, what: int, generator: torch.Generator) -> Noise:
        """Fresh numbers from ``generator``, on its device."""
        return cls(normal((batch, objects, 3), generator), normal((batch, objects, what), generator))


@dataclass(frozen=True)
class Latents:
    """What an inference network samples, before anything is drawn of it."""

    z_where: Tensor  # [B, M, 3]
    z_what: Tensor  # [B, M, C]
    logits: Tensor  # [B, M] of q(z_pres_i = 1 | x, ...), for the decisions of the code
    q_where: Distribution  # batch [B, M], event [3]
    q_what: Distribution  # batch [B, M], event [C]
    glimpses: Tensor  # [B, M, G, G] x_att


@dataclass(frozen=True)
class Objects(Latents):
    """The same, drawn and pasted, with what each object costs."""

    canvas: Tensor  # [B, H, W] the scene x
    poses: Poses  # what z_where means
    code: Code  # which sets of these objects a scene may consist of
    p_where: Distribution  # the prior p(z_where), event [3]
    p_what: Distribution  # the prior p(z_what), event [C]
    kl_where: Tensor  # [B, M] KL(q(z_where_i) || p), nats; the sampled log ratio where there is no closed form
    kl_what: Tensor  # [B, M]
    drawn: Tensor  # [B, M, G, G] y_att
    layers: Layers  # each object in its place
    again: Callable[[], Objects] | None = None  # the same pass, held: what a network reads of a sample is a constant

    @property
    def pasted(self) -> Tensor:
        """Each object on an empty canvas of its own, [B, M, H, W]."""
        return self.layers.dense()

    @property
    def canvases(self) -> Tensor:
        """The mean of p(x | codeword) for each codeword, [B, K, H, W]."""
        return self.code.canvases(self.layers)

    @property
    def boxes(self) -> Tensor:
        """Edges (x0, y0, x1, y1) of the glimpses in pixels, [B, M, 4]; they may leave the canvas."""
        return self.poses.boxes(self.z_where, self.canvas)
