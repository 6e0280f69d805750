"""The inference network of the AIR paper and of the report: an LSTM attends to one object after the other.

Step i is reached only when every earlier z_pres was 1. So the roll-out feeds z_pres = 1 back at every step: the first n
steps of it are exactly what a scene with n objects sees, for every n at once (Eslami et al. 2016, section 2.2, whose
generic sampling of z_pres this makes unnecessary).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from airctl.config import Config, lookup
from airctl.model.codes import Code, Unary
from airctl.model.embeddings import EMBEDDINGS, Embedding
from airctl.model.networks import Cell
from airctl.model.objects import Latents, Noise
from airctl.model.poses import Poses, Relative
from airctl.model.posteriors import PLAIN, POSTERIORS, Posterior

if TYPE_CHECKING:
    from airctl.model.air import AIR


class Step(NamedTuple):
    """One object of each scene, as the LSTM attends to it."""

    z_where: Tensor  # [B, 3]
    z_what: Tensor  # [B, C]
    logit: Tensor  # [B]
    q_where: Distribution  # batch [B], event [3]
    q_what: Distribution  # batch [B], event [C]
    glimpse: Tensor  # [B, G, G]


class AttentionInput(ABC):
    """What the LSTM reads of a scene at each step, embedded and projected into its gates, [B, 4H]."""

    def __init__(self, embedding: Embedding, cell: Cell, model: AIR) -> None:
        self.embedding, self.cell, self.model = embedding, cell, model

    def project(self, canvas: Tensor) -> Tensor:
        """[B, D, D] -> [B, 4H]."""
        return self.cell.constant(self.embedding(canvas))

    @abstractmethod
    def after(self, step: Step, canvas: Tensor, projected: Tensor) -> Tensor:
        """The input of the step after ``step``, whose own was ``projected``."""


class CanvasInput(AttentionInput):
    """The canvas, at every step the same: projected once."""

    def after(self, step: Step, canvas: Tensor, projected: Tensor) -> Tensor:
        return projected


class ResidualInput(AttentionInput):
    """The canvas minus what the objects so far explain: what DAIR reads (Yang et al. 2019, "Difference AIR").

    Without a gradient: the objects are taught by the likelihood, not by what the next glance makes of them.
    """

    def __init__(self, embedding: Embedding, cell: Cell, model: AIR) -> None:
        super().__init__(embedding, cell, model)
        self.explained: Tensor | None = None  # [B, D, D]

    def after(self, step: Step, canvas: Tensor, projected: Tensor) -> Tensor:
        with torch.no_grad():
            drawn = self.model.draw(step.z_where[:, None], step.z_what[:, None], canvas)[1].dense()[:, 0]
            self.explained = drawn if self.explained is None else self.explained + drawn
        return self.project(canvas - self.explained)


ATTENTION_INPUTS: dict[str, type[AttentionInput]] = {"canvas": CanvasInput, "residual": ResidualInput}


class Recurrent(nn.Module):
    """x -> N objects, one after the other; ``code`` is the unary one."""

    def __init__(self, config: Config, poses: Poses) -> None:
        super().__init__()
        assert isinstance(poses, Relative)
        sizes, what = config.network, config.model.what
        self.reading_size = config.model.num_steps  # M when counting
        self.attention_input = lookup(ATTENTION_INPUTS, "network.attention_input", sizes.attention_input)
        self.embedding = lookup(EMBEDDINGS, "network.embedding", sizes.embedding)(config.model.canvas)
        # The paper's LSTM also reads the previous z_pres. Here that is always 1: a bias, which the cell has.
        self.cell = Cell(self.embedding.size, 3 + what, sizes.hidden)
        self.predict = nn.Sequential(nn.Linear(sizes.hidden, sizes.predict_hidden), nn.ReLU())
        posterior = lookup(POSTERIORS, "posterior.where", config.posterior.where)
        start, centre = (PLAIN, None) if sizes.start == "plain" else (0.1, poses.where_loc)
        self.where: Posterior = posterior(sizes.predict_hidden, 3, start, centre, config.posterior.where_sd_max)
        self.present = nn.Linear(sizes.predict_hidden, 1)
        self.present_bias = sizes.present_bias

    def code(self, size: int) -> Code:
        """The code over ``size`` steps."""
        return Unary(size)

    def explore(self, canvas: Tensor, generator: torch.Generator, step: int | None) -> None:
        """Nothing: its own samples explore."""

    def read(self, log_q: Tensor, log_w: Tensor) -> Tensor:
        """The log posterior of the codewords, [B, K], by which the count is read: q itself."""
        return log_q

    def objective(self, log_q: Tensor, log_w: Tensor) -> Tensor:
        """The ELBO with the codewords summed out, nats per scene, [B]."""
        return (log_q.exp() * (log_w - log_q)).sum(1)

    def presence_parameters(self) -> list[nn.Parameter]:
        """Those that only the logits of z_pres go through."""
        return list(self.present.parameters())

    def forward(self, canvas: Tensor, noise: Noise, model: AIR, held: bool) -> tuple[Tensor, Latents]:
        """Roll out as many steps as ``noise`` has over ``canvas`` [B, D, D]; the canvas of each row comes back first.

        Noise for J B roll-outs gives J of each scene, that of scene b in the rows b J to (b + 1) J - 1. With ``held``
        what a network reads of an earlier sample is a constant to it.
        """
        attention = self.attention_input(self.embedding, self.cell, model)
        projected = attention.project(canvas)
        if (copies := len(noise.where) // len(canvas)) > 1:  # of what is the same for all of them, once is enough
            projected, canvas = projected.repeat_interleave(copies, 0), canvas.repeat_interleave(copies, 0)
        state = self.cell.first(projected)
        steps: list[Step] = []
        for where_noise, what_noise in zip(noise.where.unbind(1), noise.what.unbind(1), strict=True):
            if steps:
                projected = attention.after(steps[-1], canvas, projected)
                latents = torch.cat([steps[-1].z_where, steps[-1].z_what], 1)
                state = self.cell(projected, latents.detach() if held else latents, state)
            features = self.predict(state[0])
            q_where, logit = self.where(features), self.present(features)[:, 0] + self.present_bias
            z_where = self.where.sample(q_where, where_noise)
            glimpse, q_what = model.look(canvas, z_where, held)
            steps.append(Step(z_where, model.what.sample(q_what, what_noise), logit, q_where, q_what, glimpse))
        return canvas, self._latents(steps, model)

    def _latents(self, steps: list[Step], model: AIR) -> Latents:
        return Latents(
            z_where=torch.stack([step.z_where for step in steps], 1),
            z_what=torch.stack([step.z_what for step in steps], 1),
            logits=torch.stack([step.logit for step in steps], 1),
            q_where=self.where.stack([step.q_where for step in steps]),
            q_what=model.what.stack([step.q_what for step in steps]),
            glimpses=torch.stack([step.glimpse for step in steps], 1),
        )
