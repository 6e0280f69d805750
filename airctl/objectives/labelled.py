"""Scenes whose count is known, and where their objects are: the same estimator with fewer codewords, and two lessons.

Of a scene with n objects only the codewords of n objects are left, so that what an estimator climbs is a bound of
log p(x, n) in place of log p(x):

    log w(k | n) = log w(k) if |k| = n, else nothing,      q(k | n) = q(k) / q(n)
    loss         = the estimator's, of w(k | n) and q(k | n)  -  weight * log q(n | x)

As in Kingma et al. 2014, "Semi-supervised learning with deep generative models", eq. 9. It is q that is taught, and not
the posterior by which proposals are read, in which w stands as well: that makes other counts explain the scene worse,
and the model draws worse for it (docs/future-work.md). A batch may have any share of such scenes, from none, where
nothing changes, to all.

Where boxes are known as well, they are observations of the poses: an object's edges are those of its box, with normal
noise of ``NOISE`` of its side. Which object is whose is the matching of the lowest cost (Kuhn 1955; as in DETR, Carion
et al. 2020). A map of proposals is taught the places too.

B scenes, M objects proposed, K codewords, L boxes a scene at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from airctl.errors import ConfigError
from airctl.model import AIR, Code, Objects, Proposals
from airctl.model.proposals import TIGHT
from airctl.objectives.cut_and_paste import places_loss
from airctl.objectives.terms import Terms

SUMMED_OUT = ("exact", "defensive", "marginal")  # estimators that need nothing but the terms of the codewords
UNKNOWN = -1  # the count of a scene that nobody has counted
NEVER = -1e9  # nats; finite, because 0 times it must be 0
MARGIN = 1.35 * TIGHT  # side of a pose over the longer side of the object's ink, as airctl.scenes measures sizes
NOISE = 0.1  # of a pose's side: sd of an edge
FAR = 3.0  # sds from which the pull towards a box grows no more


@dataclass(frozen=True)
class Labels:
    """What is known of the scenes of a batch."""

    counts: Tensor  # [B] int64; UNKNOWN
    boxes: Tensor | None = None  # [B, L, 4] x0, y0, x1, y1 in pixels, -1 beyond the count; None: they are not used

    def to(self, device: torch.device) -> Labels:
        """The same, there."""
        return Labels(self.counts.to(device), None if self.boxes is None else self.boxes.to(device))

    def __getitem__(self, scenes: Tensor) -> Labels:
        return Labels(self.counts[scenes], None if self.boxes is None else self.boxes[scenes])


@dataclass(frozen=True)
class Labelled:
    """What labels make of a pass; ``weight`` is that of log q(n | x)."""

    weight: float

    def __call__(self, model: AIR, objects: Objects, terms: Terms, labels: Labels) -> tuple[Terms, Tensor]:
        """The terms that the estimator is to be given, and the loss of the lessons, [] nats per scene of the batch."""
        known = (labels.counts >= 0).nonzero()[:, 0]
        counts = labels.counts[known]
        log_count = terms.code.by_count(terms.log_q[known])  # log q(n), [., M + 1]
        loss = -self.weight * log_count.gather(1, counts[:, None]).sum()
        if labels.boxes is not None:
            loss = loss + boxes_loss(model, objects, labels)
        return given(terms, labels.counts), loss / len(labels.counts)


def given(terms: Terms, counts: Tensor) -> Terms:
    """``terms`` of scenes of which ``counts`` [B] are known: no codeword of another count is left."""
    code, known = terms.code, (counts >= 0).nonzero()[:, 0]
    other = (code.counts.to(counts.device) != counts[:, None]) & (counts >= 0)[:, None]  # [B, K]
    log_count = code.by_count(terms.log_q[known]).gather(1, counts[known, None])  # log q(n), [., 1]
    return replace(
        terms,
        log_p=terms.log_p.expand_as(terms.log_q).masked_fill(other, NEVER),
        log_q=terms.log_q.index_add(0, known, -log_count.expand(-1, terms.log_q.shape[1])).masked_fill(other, NEVER),
    )


def boxes_loss(model: AIR, objects: Objects, labels: Labels) -> Tensor:
    """How far poses, and a map if there is one, are from the boxes of ``labels``, [] summed over scenes."""
    loss, network = poses_loss(objects, labels), model.network
    if isinstance(network, Proposals):
        known = (labels.counts >= 0).nonzero()[:, 0]
        seen, (centre, _, present) = network.map(objects.canvas[known]), _places(labels[known], objects)
        loss = loss + places_loss(seen, centre, seen.cells(centre), present.to(loss), network.offset)
    return loss


def poses_loss(objects: Objects, labels: Labels) -> Tensor:
    """Minus log p(boxes | z_where) but for a constant, [] nats summed over scenes; linear from ``FAR`` sds on."""
    centre, half, present = _places(labels, objects)
    edges = torch.cat([centre - half, centre + half], -1)
    apart = (objects.boxes[:, :, None] - edges[:, None]) / (2 * NOISE * half[:, None])  # [B, M, L, 4] sds
    cost = F.huber_loss(apart, torch.zeros_like(apart), reduction="none", delta=FAR).sum(-1)
    return (cost * matching(cost.detach(), present, objects.code)).sum()


def _places(labels: Labels, objects: Objects) -> tuple[Tensor, Tensor, Tensor]:
    """Of each box the middle [B, L, 2], half the side of its pose [B, L, 1], and whether it is one [B, L]."""
    assert labels.boxes is not None
    boxes = labels.boxes.to(objects.z_where)
    longer = (boxes[..., 2:] - boxes[..., :2]).amax(-1, keepdim=True).clamp_min(1)
    present = torch.arange(boxes.shape[1], device=boxes.device) < labels.counts[:, None]
    return (boxes[..., :2] + boxes[..., 2:]) / 2, MARGIN / 2 * longer, present


def matching(cost: Tensor, present: Tensor, code: Code) -> Tensor:
    """1 where object and box belong together, [B, M, L], so that the summed ``cost`` [B, M, L] of a scene is the least.

    Only boxes that are ``present`` [B, L] have an object, and only objects that a codeword of their number may have.
    """
    matched = torch.zeros_like(cost)
    for scene, (each, number) in enumerate(zip(cost.cpu().numpy(), present.sum(1).tolist(), strict=True)):
        may = code.members[code.counts == number].any(0).nonzero()[:, 0].numpy()
        rows, columns = linear_sum_assignment(each[may, :number])
        matched[scene, may[rows], columns] = 1
    return matched


def require_summed_out(estimator: str) -> None:
    """Raise ``ConfigError`` unless ``estimator`` can be told counts."""
    if estimator not in SUMMED_OUT:
        raise ConfigError(
            f"objective.estimator={estimator} cannot be told counts: expected one that sums the codewords out "
            f"({', '.join(SUMMED_OUT)}) with train.labels"
        )
