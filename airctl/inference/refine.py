"""A second look at the scenes that the first pass explains badly: the bound of each count, by gradient steps.

The inference network errs mostly on touching objects: it sets one glimpse between two of them and reconstructs badly.
So where too much of a scene is unexplained, or the count is not clear, there are N + 1 hypotheses: the first n = 1..N
objects of the roll-out, and, where one object was found, that object split in two (the move of Jain & Neal 2004). Each
climbs its bound (``climb``), and q(n) becomes proportional to q(n) exp(bound_n): the first pass, which has seen many
scenes, counts as evidence beside the bounds of this one (it holds the count prior already). What is still badly
explained then is searched for other arrangements (``rearrange``). No label is used. The constants were chosen on
validation scenes (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from airctl.inference.climb import Hypotheses, climb
from airctl.inference.effort import USUAL, Effort
from airctl.inference.passes import passes
from airctl.inference.rearrange import of_count, pixel_places, rearrange
from airctl.model import AIR, Objects, paste
from airctl.model.posteriors import loc_and_sd
from airctl.objectives import Terms

CERTAIN = 0.95  # q(n) of the most probable count from which it is clear
AROUND = 1.5  # how much larger than its glimpse the neighbourhood of an object is that may be two


def explanations(
    model: AIR, images: Tensor, log_p: Tensor, effort: Effort = USUAL
) -> Iterator[tuple[Objects, Terms, Tensor]]:
    """Roll-outs at the posterior means over uint8 ``images`` [S, D, D] in chunks, with the second look where needed.

    Third come the counts before it, argmax q(n) [B].
    """
    for objects, terms in passes(model, images, log_p, lambda batch: model.mean_noise(batch, len(log_p) - 1)):
        yield *refine(model, objects, terms, effort), terms.log_q.argmax(1)


def badly_explained(objects: Objects, terms: Terms, effort: Effort = USUAL) -> Tensor:
    """Which scenes need a second look, bool [B]."""
    best = terms.log_q.argmax(1)
    drawn = objects.canvases[torch.arange(len(best), device=best.device), best]
    left = (objects.canvas - drawn).square().sum((1, 2))
    ink = objects.canvas.square().sum((1, 2))
    return (left > effort.unexplained * ink) | (terms.log_q.amax(1).exp() < CERTAIN)


def refine(model: AIR, objects: Objects, terms: Terms, effort: Effort = USUAL) -> tuple[Objects, Terms]:
    """The roll-out and its terms with the badly explained scenes looked at again; the others are left as they are.

    In the scenes of a second look log_q is the refined posterior over n, and z_where, z_what, objects and pasted are
    those of its most probable count n (beyond step n, of the first pass); the other fields are of the first pass.
    """
    rows = badly_explained(objects, terms, effort).nonzero()[:, 0]
    if len(rows) == 0:
        return objects, terms
    start = hypotheses(model, objects, rows, terms.log_q[rows].argmax(1))
    where, what, bounds = climb(model, objects.canvas[rows], start)
    most = objects.z_where.shape[1]
    index = torch.arange(most, device=rows.device).repeat(len(rows), 1)
    if most > 1:  # the split object and the roll-out's own first two compete for the same count
        index[:, 1] = torch.where(bounds[:, most] > bounds[:, 1], most, 1)
    evidence = effort.trust * terms.log_q[rows]
    scores = torch.cat([terms.log_likelihood[rows, :1], bounds.gather(1, index)], 1) + evidence
    climbed = (where, what, start.log_sd_where, start.log_sd_what)
    parts = (part.take_along_dim(index[..., None, None], 1) for part in climbed)
    found = Hypotheses.of(parts, start.there.take_along_dim(index[..., None], 1))
    found, scores = rearrange(model, objects.canvas[rows], found, scores, evidence, effort)
    found = of_count(found, torch.arange(len(rows), device=rows.device), scores.argmax(1))
    log_q = scores.log_softmax(1)
    reached = log_q.flip(1).logcumsumexp(1).flip(1)  # log q(n >= i)
    taken = found.there[:, 0, :, None]  # [R, N, 1]
    z_where = torch.where(taken, found.where[:, 0], objects.z_where[rows])
    z_what = torch.where(taken, found.what[:, 0], objects.z_what[rows])
    with torch.no_grad():
        drawn, pasted = model.draw(z_where, z_what, objects.canvas.shape[-1])

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.index_copy(0, rows, new)

    return (
        replace(
            objects,
            z_where=put(objects.z_where, z_where),
            z_what=put(objects.z_what, z_what),
            drawn=put(objects.drawn, drawn),
            pasted=put(objects.pasted, pasted),
        ),
        replace(
            terms,
            log_q=put(terms.log_q, log_q),
            log_present=put(terms.log_present, reached.diff(dim=1)),
            log_absent=put(terms.log_absent, log_q[:, :-1] - reached[:, :-1]),
        ),
    )


def hypotheses(model: AIR, objects: Objects, rows: Tensor, counts: Tensor) -> Hypotheses:
    """The roll-out's own objects for n = 1..N of the scenes ``rows`` [R], and last the split of a lone one.

    There is no split where ``counts`` [R] is not 1 (with more objects it would as often explain one that was missed).
    """
    most = objects.z_where.shape[1]
    own = [
        objects.z_where[rows],
        objects.z_what[rows],
        loc_and_sd(objects.q_where)[1][rows].log(),
        loc_and_sd(objects.q_what)[1][rows].log(),
    ]
    split = [part.clone() for part in own]
    lone = (counts == 1) & (most > 1)
    if lone.any():
        for place, half in enumerate(_halves(model, objects, rows[lone])):
            for part, values in zip(split, half, strict=True):
                part[lone, place] = values
    steps = torch.arange(most, device=rows.device)
    own_there = (steps <= steps[:, None]).expand(len(rows), most, most)
    split_there = (steps < 2) & lone[:, None]
    parts = [torch.cat([a[:, None].expand(-1, most, -1, -1), b[:, None]], 1) for a, b in zip(own, split, strict=True)]
    return Hypotheses.of(parts, torch.cat([own_there, split_there[:, None]], 1))


def _halves(model: AIR, objects: Objects, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Two objects in place of the first one of each scene: the means and log sds of their q.

    They stand one standard deviation of the ink around it to either side of that ink's mean, along its longest axis.
    """
    canvas, side = objects.canvas[rows], objects.canvas.shape[-1]
    scale = objects.z_where[rows, 0, :1]
    near = paste(torch.ones_like(canvas[:, :2, :2]), objects.z_where[rows, 0] / AROUND, side)
    ink = canvas * near
    ink = ink / ink.sum((1, 2), keepdim=True).clamp_min(1e-6)
    places = pixel_places(side, rows.device)
    mean = ink.flatten(1) @ places  # [R, 2]
    off = places - mean[:, None]
    covariance = (off * ink.flatten(1)[..., None]).transpose(1, 2) @ off
    spread, axes = torch.linalg.eigh(covariance)  # rising
    step = axes[:, :, 1] * spread[:, 1:].clamp_min(0).sqrt()
    for centre in (mean + step, mean - step):
        where = torch.cat([scale, scale * centre], 1)
        with torch.no_grad():
            q_what = model.look(canvas, where)[1]
        yield where, q_what.mean, loc_and_sd(objects.q_where)[1][rows, 0].log(), loc_and_sd(q_what)[1].log()
