"""Attend, Infer, Repeat: one pass over the steps gives all that any estimator of its gradient needs.

Letters, here and everywhere: B batch, N steps, D canvas side, G glimpse side, C numbers in z_what, H hidden units.

Step i is reached only when every earlier z_pres was 1. So the roll-out feeds z_pres = 1 back at every step: the first n
steps of it are exactly what a scene with n objects sees, for every n at once (Eslami et al. 2016, section 2.2, whose
generic sampling of z_pres this makes unnecessary).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from airctl.config import Config
from airctl.model.attention import crop, paste
from airctl.model.networks import EMBEDDINGS, Cell, GlimpseDecoder, mlp, positive
from airctl.model.priors import LatentPrior


@dataclass(frozen=True)
class Noise:
    """Standard normal numbers behind one roll-out; zeros give the posterior means."""

    where: Tensor  # [B, N, 3]
    what: Tensor  # [B, N, C]

    @classmethod
    def draw(cls, batch: int, num_steps: int, what: int, generator: torch.Generator) -> Noise:
        device = generator.device
        return cls(
            torch.randn(batch, num_steps, 3, generator=generator, device=device),
            torch.randn(batch, num_steps, what, generator=generator, device=device),
        )


@dataclass(frozen=True)
class Rollout:
    """Everything of one pass with z_pres fed back as 1. Step i of the paper stands at index i - 1."""

    canvas: Tensor  # [B, D, D] the scene x
    z_where: Tensor  # [B, N, 3]
    z_what: Tensor  # [B, N, C]
    logits: Tensor  # [B, N] of q(z_pres_i = 1 | x, z_<i, all earlier z_pres = 1)
    q_where: Normal  # [B, N, 3]
    q_what: Normal  # [B, N, C]
    kl_where: Tensor  # [B, N] KL(q(z_where_i) || p), nats
    kl_what: Tensor  # [B, N]
    glimpses: Tensor  # [B, N, G, G] x_att
    objects: Tensor  # [B, N, G, G] y_att
    pasted: Tensor  # [B, N, D, D] each object in its place on an empty canvas

    @property
    def canvases(self) -> Tensor:
        """The mean of p(x | n objects) for n = 0..N: the first n pasted objects added, [B, N + 1, D, D]."""
        return F.pad(self.pasted.cumsum(1), (0, 0, 0, 0, 1, 0))


class AIR(nn.Module):
    """p(x, z) and q(z | x): the prior, the decoder and the inference network. It knows of no loss and no estimator."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = config.model
        self.config = config
        self.prior = LatentPrior(config.prior)
        self.decoder = GlimpseDecoder(sizes.what, sizes.glimpse_hidden, sizes.glimpse, sizes.decoder_bias)
        self.embedding = EMBEDDINGS[sizes.embedding](sizes.canvas)
        # The paper's LSTM also reads the previous z_pres. Here that is always 1: a bias, which the cell has.
        self.cell = Cell(self.embedding.size, 3 + sizes.what, sizes.hidden)
        self.predict = nn.Sequential(nn.Linear(sizes.hidden, sizes.predict_hidden), nn.ReLU())
        self.where_head = nn.Linear(sizes.predict_hidden, 3 + 3)
        self.present_head = nn.Linear(sizes.predict_hidden, 1)
        self.encoder = mlp(sizes.glimpse**2, sizes.glimpse_hidden, 2 * sizes.what)

    def noise(self, batch: int, generator: torch.Generator, num_steps: int | None = None) -> Noise:
        """Fresh noise for a roll-out of ``batch`` scenes."""
        return Noise.draw(batch, num_steps or self.config.model.num_steps, self.config.model.what, generator)

    def mean_noise(self, batch: int, num_steps: int | None = None) -> Noise:
        """The noise that puts z_where and z_what at their posterior means."""
        num_steps = num_steps or self.config.model.num_steps
        zeros = self.prior.where_loc.new_zeros
        return Noise(zeros(batch, num_steps, 3), zeros(batch, num_steps, self.config.model.what))

    def forward(self, canvas: Tensor, noise: Noise) -> Rollout:
        """Roll out as many steps as ``noise`` has over scenes ``canvas`` [B, D, D], pixels in [0, 1].

        Noise for K B roll-outs gives K of each scene, that of scene b in the rows b K to (b + 1) K - 1.
        """
        residual = self.config.model.attention_input == "residual"
        projected = self.cell.constant(self.embedding(canvas))
        if (copies := len(noise.where) // len(canvas)) > 1:  # of what is the same for all of them, once is enough
            projected, canvas = projected.repeat_interleave(copies, 0), canvas.repeat_interleave(copies, 0)
        state = self.cell.first(projected)
        explained = torch.zeros_like(canvas)
        steps: list[list[Tensor]] = []
        for where_noise, what_noise in zip(noise.where.unbind(1), noise.what.unbind(1), strict=True):
            if residual and steps:
                # Detached: the objects are taught by the likelihood, not by what the next glance makes of them.
                projected = self.cell.constant(self.embedding(canvas - explained.detach()))
            if steps:
                state = self.cell(projected, torch.cat(steps[-1][:2], 1), state)
            q_where, logit = self._predict(state[0])
            z_where = q_where.loc + q_where.scale * where_noise
            glimpse = crop(canvas, z_where, self.config.model.glimpse)
            q_what = self.encode(glimpse)
            z_what = q_what.loc + q_what.scale * what_noise
            step = [z_where, z_what, logit, q_where.loc, q_where.scale, q_what.loc, q_what.scale, glimpse]
            if residual:
                step += [y := self.decoder(z_what), pasted := paste(y, z_where, canvas.shape[-1])]
                explained = explained + pasted
            steps.append(step)
        stacked = [torch.stack(parts, 1) for parts in zip(*steps, strict=True)]
        z_where, z_what, logits, where_loc, where_scale, what_loc, what_scale, glimpses = stacked[:8]
        objects, pasted = stacked[8:] if residual else self.draw(z_where, z_what, canvas.shape[-1])
        q_where = Normal(where_loc, where_scale, validate_args=False)
        q_what = Normal(what_loc, what_scale, validate_args=False)
        return Rollout(
            canvas=canvas,
            z_where=z_where,
            z_what=z_what,
            logits=logits,
            q_where=q_where,
            q_what=q_what,
            kl_where=kl_divergence(q_where, self.prior.where).sum(-1),
            kl_what=kl_divergence(q_what, self.prior.what(what_loc)).sum(-1),
            glimpses=glimpses,
            objects=objects,
            pasted=pasted,
        )

    def _predict(self, h: Tensor) -> tuple[Normal, Tensor]:
        """q(z_where | h) [B, 3], centred on the prior's mean, and the logit of q(z_pres = 1 | h) [B]."""
        features = self.predict(h)
        loc, scale = self.where_head(features).chunk(2, 1)
        sizes = self.config.model
        sd = positive(scale, 0.1, sizes.where_sd_max)
        q_where = Normal(self.prior.where_loc + loc, sd, validate_args=False)
        return q_where, self.present_head(features)[:, 0] + sizes.present_bias

    def encode(self, glimpse: Tensor) -> Normal:
        """q(z_what | x_att) [B, C]."""
        loc, scale = self.encoder(glimpse.flatten(1)).chunk(2, 1)
        return Normal(loc, positive(scale, 1.0), validate_args=False)

    def draw(self, z_where: Tensor, z_what: Tensor, canvas: int) -> tuple[Tensor, Tensor]:
        """All steps' objects [B, N, G, G] and the same pasted [B, N, D, D], in one pass."""
        objects = self.decoder(z_what)
        pasted = paste(objects.flatten(0, 1), z_where.flatten(0, 1), canvas)
        return objects, pasted.unflatten(0, z_where.shape[:2])
