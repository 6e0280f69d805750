"""The inference network without recurrence: a convolutional map says where objects may be, its best cells propose them.

All M objects of a scene are cropped, encoded, drawn and pasted at once. The choice of cells has no gradient; the map's
logits are taught by the posterior of z_pres (``airctl.objectives.marginal``). Canvases may have any height and width.

B batch, M proposals, h x w cells of the map, F its features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from airctl.batch import uniform
from airctl.config import Config
from airctl.model.codes import Code
from airctl.model.objects import Latents, Noise
from airctl.model.poses import InPixels, Poses
from airctl.model.posteriors import loc_and_sd, normal
from airctl.model.subsets import Subsets

if TYPE_CHECKING:
    from airctl.model.air import AIR

CELL = 2  # pixels from one cell of the map to the next
OFFSET = 0.18  # object sizes that a centre may be away from its cell, and within which a proposal must be the best
TIGHT, SPREAD = 0.8, 1.35  # usual side of an object over its size, and largest over usual: room for one object alone


@dataclass(frozen=True)
class Map:
    """What the convolutions see of canvases."""

    logits: Tensor  # [B, h, w] of an object near the cell
    features: Tensor  # [B, ceil(h / 2), ceil(w / 2), F]

    def at(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, M] and features [B, M, F + 4] of flat ``cells`` [B, M]."""
        features, width = self.features, self.logits.shape[2]
        row, column = cells // width, cells % width
        index = (row // 2 * features.shape[2] + column // 2)[..., None].expand(-1, -1, features.shape[3])
        part = F.one_hot(row % 2 * 2 + column % 2, 4).to(features)  # which of the four cells
        return self.logits.flatten(1).gather(1, cells), torch.cat([features.flatten(1, 2).gather(1, index), part], -1)

    def centres(self, cells: Tensor) -> Tensor:
        """The middles (x, y) of flat ``cells`` [...] in pixels, [..., 2]."""
        width = self.logits.shape[2]
        return torch.stack([cells % width, cells // width], -1) * CELL + 0.5 * CELL

    def cells(self, centres: Tensor) -> Tensor:
        """The flat cells [...] in which ``centres`` (x, y) [..., 2] in pixels lie; the nearest at the edge."""
        height, width = self.logits.shape[1:]
        column = (centres[..., 0] / CELL).floor().long().clamp(0, width - 1)
        row = (centres[..., 1] / CELL).floor().long().clamp(0, height - 1)
        return row * width + column

    def repeat(self, copies: int) -> Map:
        """Each scene's map ``copies`` times in a row."""
        return Map(self.logits.repeat_interleave(copies, 0), self.features.repeat_interleave(copies, 0))


class MapNetwork(nn.Module):
    """Convolutions down to features of 4 x 4 pixels, each of which speaks for four cells of 2 x 2: [B, H, W] -> Map."""

    def __init__(self, channels: tuple[int, int, int, int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        a, b, c, d = channels
        self.layers = nn.Sequential(
            nn.Conv2d(1, a, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(b, c, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c, d, 3, padding=2, dilation=2),
            nn.ReLU(),
        )
        self.presence = nn.Linear(d, 4)
        self.features = d
        nn.init.constant_(self.presence.bias, -2.0)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):  # channels last: the convolutions are a third faster
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, canvas: Tensor) -> Map:
        features = self.layers(canvas[:, None].contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)
        logits = self.presence(features).unflatten(-1, (2, 2)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        height, width = ((side + 1) // CELL for side in canvas.shape[1:])
        return Map(logits[:, :height, :width], features)


class Proposals(nn.Module):
    """x -> M objects, all at once; ``code`` is that of all their subsets."""

    def __init__(self, config: Config, poses: Poses) -> None:
        super().__init__()
        assert isinstance(poses, InPixels)
        settings, size = config.network, config.model.object_size
        self.number, self.dense = config.model.num_steps, settings.dense
        self.exploration, self.pull = settings.exploration, settings.pull
        self.steps = min(settings.explore_steps, config.train.steps / 6)
        self.object_size, self.offset = size, OFFSET * size
        self.radius = max(1, round(settings.suppression * size / CELL))
        self.temperature = settings.reading_temperature
        self.map = MapNetwork()
        self.pose = nn.Sequential(nn.Linear(self.map.features + 4, 64), nn.ReLU(), nn.Linear(64, 6))
        # How much is usually left unexplained (airctl.inference.verdict); known at the end of the training.
        self.register_buffer("usual", torch.full((5,), torch.nan))
        self.usual: Tensor

    @property
    def reading_size(self) -> int:
        """M when counting: beside the local maxima of the map some more of its best cells, for objects that touch."""
        return self.number + self.dense

    def code(self, size: int) -> Code:
        """The code over ``size`` proposals."""
        return Subsets(size)

    def read(self, log_q: Tensor, log_w: Tensor) -> Tensor:
        """The log posterior of the codewords, [B, K], by which the count is read.

        The exact posterior of the sampled objects, tempered because the model is simpler than real ink, times what the
        map, which has seen many scenes, expects: q(S) w(S)^(1 / T). T was chosen on validation scenes.
        """
        return (log_w / self.temperature + log_q).log_softmax(1)

    def objective(self, log_q: Tensor, log_w: Tensor) -> Tensor:
        """The collapsed objective, nats per scene, [B]: log sum_S w(S), which is no strict bound of log p(x)."""
        return log_w.logsumexp(1)

    def presence_parameters(self) -> list[nn.Parameter]:
        """Those that only the logits of z_pres go through."""
        return list(self.map.presence.parameters())

    def explore(self, canvas: Tensor, generator: torch.Generator, step: int | None) -> Tensor:
        """What training adds to the map's logits when it chooses cells, [B, h, w].

        Gumbel noise, so that other cells than the best are tried; and for the first steps a pull towards ink, without
        which a map that knows nothing would try the dark as often.
        """
        height, width = ((side + 1) // CELL for side in canvas.shape[1:])
        shape = (len(canvas), height, width)
        drawn = uniform(shape, generator).clamp(1e-9, 1 - 1e-7)
        scores = -self.exploration * torch.log(-torch.log(drawn))
        if step is not None and step < self.steps:
            span = 2 * round(self.object_size / 4) + 1
            ink = F.avg_pool2d(canvas[:, None], span, CELL, span // 2, count_include_pad=True)[:, 0]
            scores = scores + self.pull * (1 - step / self.steps) * ink
        return scores.to(canvas)

    def forward(self, canvas: Tensor, noise: Noise, model: AIR, held: bool) -> tuple[Tensor, Latents]:
        """As many objects as ``noise`` has over ``canvas`` [B, H, W]; the canvas of each row comes back first.

        Noise for J B passes gives J of each scene, that of scene b in the rows b J to (b + 1) J - 1. With ``held`` what
        a network reads of a sample is a constant to it.
        """
        seen = self.map(canvas)
        if (copies := len(noise.where) // len(canvas)) > 1:
            seen, canvas = seen.repeat(copies), canvas.repeat_interleave(copies, 0)
        cells = self.choose(seen.logits.detach(), noise)
        logits, q_where = self.where(seen, cells)
        loc, sd = loc_and_sd(q_where)
        z_where = loc + sd * noise.where
        glimpses, q_what = model.look(canvas, z_where, held)
        z_what = model.what.sample(q_what, noise.what)
        return canvas, Latents(z_where, z_what, logits, q_where, q_what, glimpses)

    def where(self, seen: Map, cells: Tensor) -> tuple[Tensor, Distribution]:
        """Logits [B, M] of ``cells`` [B, M] and q(z_where | x), batch [B, M], event [3]."""
        logits, features = seen.at(cells)
        loc, raw = self.pose(features).split(3, -1)
        centre = seen.centres(cells) + self.offset * torch.tanh(loc[..., 1:])
        sd = 0.5 * torch.sigmoid(raw - 2.0)  # half a pixel at most: an object stays where it was looked for
        return logits, normal(torch.cat([loc[..., :1], centre], -1), sd + 1e-3)

    def choose(self, logits: Tensor, noise: Noise) -> Tensor:
        """Flat cells [B, M]: local maxima first, then the best of the rest if more are asked for than in training."""
        number = noise.where.shape[1]
        scores = logits if noise.scores is None else logits + noise.scores
        maxima = min(number, self.number)
        return best_cells(scores, maxima, self.radius, number - maxima)


def best_cells(scores: Tensor, number: int, radius: int, dense: int = 0) -> Tensor:
    """The flat cells [B, number + dense] of the highest ``scores`` [B, h, w] that are the highest within ``radius``.

    Where there are too few of those the next highest cells follow; the ``dense`` last are the highest of all the rest.
    """
    span = 2 * radius + 1
    rows = F.max_pool2d(scores[:, None], (1, span), 1, (0, radius))  # in two passes, which is cheaper
    highest = F.max_pool2d(rows, (span, 1), 1, (radius, 0))[:, 0]
    flat = torch.where(scores == highest, scores, scores - 1e4).flatten(1)
    cells = flat.topk(number, 1).indices
    if dense:
        rest = scores.flatten(1).scatter(1, cells, -math.inf)
        cells = torch.cat([cells, rest.topk(dense, 1).indices], 1)
    return cells
