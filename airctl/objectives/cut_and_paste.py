"""Lessons by cut and paste: close pairs made of scenes that the model already explains, so that it knows the answer.

One scene is shifted so that one of its objects lands near one of another scene's, and the two are added. Where the
objects are, and what each looks like alone, is known from the model itself: the map is taught the places, the network
the poses, and the glimpse encoder to say of each object what it said without its neighbour. No label is used. It is the
sleep phase of wake-sleep (Hinton et al. 1995) with real ink in place of samples.

B scenes of the batch, S scenes made, M proposals of a scene, L = 2 M labels of a made scene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from airctl.batch import mine, whole
from airctl.model import AIR, Map, Objects, Proposals
from airctl.model.posteriors import loc_and_sd
from airctl.model.windows import shifted
from airctl.objectives.terms import Terms

UNEXPLAINED = 0.4  # the most of a scene's squared brightness that may be left over in a scene to learn from
FAR = 0.95  # object sizes between the two centres at most


@dataclass(frozen=True)
class Explained:
    """What the model found in a batch, held fixed."""

    canvas: Tensor  # [B, H, W]
    present: Tensor  # [B, M] 1 for the objects of the most probable codeword
    usable: Tensor  # [B] bool: one or two objects that explain the scene
    where: Tensor  # [B, M, 3] means of z_where
    what: Tensor  # [B, M, C] means of z_what

    @classmethod
    @torch.no_grad()
    def of(cls, objects: Objects, terms: Terms) -> Explained:
        """From one pass and its terms."""
        present = objects.code.members.to(objects.logits)[terms.log_w.argmax(1)]
        counts, canvas = present.sum(1), objects.canvas
        left = (canvas - objects.layers.sum(present)).square().sum((1, 2)) / canvas.square().sum((1, 2)).clamp_min(1e-6)
        usable = (counts >= 1) & (counts <= 2) & (left < UNEXPLAINED)
        return cls(canvas, present, usable, loc_and_sd(objects.q_where)[0], loc_and_sd(objects.q_what)[0])


@dataclass(frozen=True)
class Pairs:
    """Scenes made of two, and what is known of them."""

    canvas: Tensor  # [S, H, W]
    where: Tensor  # [S, L, 3] poses of the objects
    what: Tensor  # [S, L, C] z_what of each alone
    present: Tensor  # [S, L] 1 where there is an object

    def rows(self, which: slice) -> Pairs:
        """Some of the scenes."""
        return Pairs(*(values[which] for values in vars(self).values()))


@dataclass(frozen=True)
class CutAndPaste:
    """At most ``scenes`` made scenes a step, no two centres within ``near`` object sizes, ``tries`` pairs a scene."""

    scenes: int
    near: float
    tries: int

    def __call__(self, model: AIR, objects: Objects, terms: Terms, generator: torch.Generator) -> Tensor:
        """The loss of one lesson, [] nats per made scene; 0 where too few scenes are explained well enough.

        Where several processes share a batch, all make the same scenes of all of it, and each has its part of the loss.
        """
        network = model.network
        assert isinstance(network, Proposals)
        found = Explained(*map(whole, vars(Explained.of(objects, terms)).values()))
        pairs = self.make(found, network.object_size, generator)
        if pairs is None or not len((part := pairs.rows(mine(len(pairs.canvas)))).canvas):
            return objects.logits.new_zeros(())
        return lesson(model, network, part) * (len(part.canvas) / len(pairs.canvas))

    @torch.no_grad()
    def make(self, found: Explained, object_size: float, generator: torch.Generator) -> Pairs | None:
        """The closest pairs that come out, sums above 1 thrown away as the composer of scenes does."""
        usable, device = found.usable.nonzero()[:, 0], found.canvas.device
        if len(usable) < 2:
            return None
        drawn = torch.randint(len(usable), (2, self.tries * len(usable)), generator=generator, device=device)
        first, second = usable[drawn]
        anchor, moved = (_one_of(found, scenes, generator) for scenes in (first, second))  # [P, 2] pixels
        uniform = torch.rand(2, len(first), 1, generator=generator, device=device)
        distance = object_size * (self.near + (FAR - self.near) * uniform[0])
        angle = 2 * math.pi * uniform[1]
        shift = (anchor + distance * torch.cat([angle.cos(), angle.sin()], 1) - moved).round()  # [P, 2] (x, y)
        copy = shifted(found.canvas, second, shift.long().flip(-1))
        canvas = found.canvas[first] + copy
        whole = copy.sum((1, 2)) > 0.98 * found.canvas[second].sum((1, 2))
        # The two that were drawn are not the only ones, and rounding brings them nearer: all pairs, where they lie now.
        here, there = found.where[first, :, 1:], found.where[second, :, 1:] + shift[:, None]
        both = found.present[first][:, :, None] * found.present[second][:, None] > 0
        apart = (here[:, :, None] - there[:, None]).norm(dim=-1).masked_fill(~both, math.inf).amin((1, 2))
        fine = ((canvas.amax((1, 2)) <= 1) & whole & (apart >= self.near * object_size)).nonzero()[:, 0]
        fine = fine[distance[fine, 0].argsort()[: self.scenes]]
        if not len(fine):
            return None
        first, second, shift = first[fine], second[fine], F.pad(shift[fine], (1, 0))[:, None]
        return Pairs(
            canvas[fine],
            torch.cat([found.where[first], found.where[second] + shift], 1),
            torch.cat([found.what[first], found.what[second]], 1),
            torch.cat([found.present[first], found.present[second]], 1),
        )


def lesson(model: AIR, network: Proposals, pairs: Pairs) -> Tensor:
    """How far the model is from what is known of ``pairs``, [] nats per scene."""
    canvas, present = pairs.canvas, pairs.present
    seen = network.map(canvas)
    cells = seen.cells(pairs.where[..., 1:])
    places = places_loss(seen, pairs.where[..., 1:], cells, present, network.offset)
    poses = -(network.where(seen, cells)[1].log_prob(pairs.where) * present).sum()
    scene, which = present.nonzero(as_tuple=True)
    q_what = model.look(canvas[scene], pairs.where[scene, which])[1]
    looks = 0.5 * (loc_and_sd(q_what)[0] - pairs.what[scene, which]).square().sum()
    return (places + poses + looks) / len(canvas)


def places_loss(seen: Map, centres: Tensor, cells: Tensor, present: Tensor, radius: float) -> Tensor:
    """Focal cross-entropy of the map's logits with one cell for each object, [], summed over scenes.

    Zhou et al. 2019, "Objects as points": cells near a centre are forgiven, the nearer the more.
    """
    every = seen.centres(torch.arange(seen.logits[0].numel(), device=cells.device))  # [h w, 2]
    apart = (every[:, None] - centres[:, None]).square().sum(-1)  # [S, h w, L]
    heat = (torch.exp(-0.5 * apart / (0.5 * radius) ** 2) * present[:, None]).amax(-1)
    logits = seen.logits.flatten(1)
    target = torch.zeros_like(logits).scatter_reduce(1, cells, present, "amax")
    p = torch.sigmoid(logits)
    hit = target * (1 - p).square() * F.logsigmoid(logits)
    miss = (1 - target) * (1 - heat) ** 4 * p.square() * F.logsigmoid(-logits)
    return -(hit + miss).sum()


def _one_of(found: Explained, scenes: Tensor, generator: torch.Generator) -> Tensor:
    """The centre (x, y) of one of the objects of each of ``scenes`` [P], drawn at random, [P, 2] pixels."""
    which = torch.multinomial(found.present[scenes], 1, generator=generator)[:, 0]
    return found.where[scenes, which, 1:]
