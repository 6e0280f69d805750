"""A second look at the scenes that the first pass explains badly: a few gradient steps on the ELBO of each count.

The inference network errs mostly on touching objects: it sets one glimpse between two of them and reconstructs badly.
So where too much of a scene is unexplained, or the count is not clear, there are N + 1 hypotheses: the first n = 1..N
objects of the roll-out, and, where one object was found, that object split in two. The means and standard deviations of
each hypothesis's q(z_where) and q(z_what) climb

    bound = E_q log p(x | canvas) - sum_i (KL_where_i + KL_what_i)

on their own, and q(n) becomes proportional to q(n) exp(bound_n): the first pass, which has seen many scenes, counts as
evidence beside the bounds of this one (it holds the count prior already). No label is used. Semi-amortised inference:
Kim et al. 2018; Marino et al. 2018; the split is the move of Jain & Neal 2004. The expectation needs its noise: at the
means an object would not pay for the spread of its q, and two would look cheaper than one. The constants were chosen
on validation scenes (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from airctl.evaluation.counts import rollouts
from airctl.model import AIR, Noise, Rollout, crop, paste
from airctl.objectives import CountTerms
from airctl.objectives.terms import Likelihood

UNEXPLAINED = 0.2  # share of a scene's squared brightness that may be left over
CERTAIN = 0.95  # q(n) of the most probable count from which it is clear
STEPS = 20
AROUND = 1.5  # how much larger than its glimpse the neighbourhood of an object is that may be two
LR_WHERE, LR_WHAT, LR_SD = 0.1, 0.2, 0.3  # of Adam; in units of z_where, z_what and the logarithm of their sd
PAIRS = 4  # of noise and its negative, the same for each scene and count: one a step, all of them for the last word


def explanations(model: AIR, images: Tensor, log_p: Tensor) -> Iterator[tuple[Rollout, CountTerms, Tensor]]:
    """Roll-outs at the posterior means over uint8 ``images`` [S, D, D] in chunks, with the second look where needed.

    Third come the counts before it, argmax q(n) [B].
    """
    for rollout, terms in rollouts(model, images, log_p, lambda batch: model.mean_noise(batch, len(log_p) - 1)):
        yield *refine(model, rollout, terms), terms.log_q.argmax(1)


def badly_explained(rollout: Rollout, terms: CountTerms) -> Tensor:
    """Which scenes need a second look, bool [B]."""
    best = terms.log_q.argmax(1)
    drawn = rollout.canvases[torch.arange(len(best), device=best.device), best]
    left = (rollout.canvas - drawn).square().sum((1, 2))
    ink = rollout.canvas.square().sum((1, 2))
    return (left > UNEXPLAINED * ink) | (terms.log_q.amax(1).exp() < CERTAIN)


def refine(model: AIR, rollout: Rollout, terms: CountTerms) -> tuple[Rollout, CountTerms]:
    """The roll-out and its terms with the badly explained scenes looked at again; the others are left as they are.

    In the scenes of a second look log_q is the refined posterior over n, and z_where, z_what, objects and pasted are
    those of its most probable count n (beyond step n, of the first pass); the other fields are of the first pass.
    """
    rows = badly_explained(rollout, terms).nonzero()[:, 0]
    if len(rows) == 0:
        return rollout, terms
    counts = terms.log_q[rows].argmax(1)
    start = hypotheses(model, rollout, rows, counts)
    where, what, bounds = climb(model, rollout.canvas[rows], start)
    most, each = rollout.z_where.shape[1], torch.arange(len(rows), device=rows.device)
    # The split object and the roll-out's own first two compete for the same count.
    by_count = bounds[:, :most].clone()
    if most > 1:
        by_count[:, 1] = by_count[:, 1].maximum(bounds[:, most])
    log_q = (torch.cat([terms.log_likelihood[rows, :1], by_count], 1) + terms.log_q[rows]).log_softmax(1)
    reached = log_q.flip(1).logcumsumexp(1).flip(1)  # log q(n >= i)
    best = log_q.argmax(1)
    split_won = (best == 2) & (bounds[:, most] >= by_count[:, min(1, most - 1)])
    index = torch.where(split_won, most, (best - 1).clamp_min(0))
    taken = (torch.arange(most, device=rows.device) < best[:, None])[..., None]  # [R, N, 1]
    z_where = torch.where(taken, where[each, index], rollout.z_where[rows])
    z_what = torch.where(taken, what[each, index], rollout.z_what[rows])
    with torch.no_grad():
        objects = model.decoder(z_what)
        pasted = paste(objects.flatten(0, 1), z_where.flatten(0, 1), rollout.canvas.shape[-1])

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.index_copy(0, rows, new)

    return (
        replace(
            rollout,
            z_where=put(rollout.z_where, z_where),
            z_what=put(rollout.z_what, z_what),
            objects=put(rollout.objects, objects),
            pasted=put(rollout.pasted, pasted.unflatten(0, z_where.shape[:2])),
        ),
        replace(
            terms,
            log_q=put(terms.log_q, log_q),
            log_q_continue=put(terms.log_q_continue, reached.diff(dim=1)),
            log_q_stop=put(terms.log_q_stop, log_q[:, :-1] - reached[:, :-1]),
        ),
    )


@dataclass(frozen=True)
class Hypotheses:
    """H explanations of each of R scenes by up to N objects: the parameters of q, and which objects are there."""

    where: Tensor  # [R, H, N, 3]
    what: Tensor  # [R, H, N, C]
    log_sd_where: Tensor  # [R, H, N, 3]
    log_sd_what: Tensor  # [R, H, N, C]
    there: Tensor  # bool [R, H, N]


def hypotheses(model: AIR, rollout: Rollout, rows: Tensor, counts: Tensor) -> Hypotheses:
    """The roll-out's own objects for n = 1..N of the scenes ``rows`` [R], and last the split of a lone one.

    There is no split where ``counts`` [R] is not 1 (with more objects it would as often explain one that was missed).
    """
    most = rollout.z_where.shape[1]
    own = [
        rollout.z_where[rows],
        rollout.z_what[rows],
        rollout.q_where.scale[rows].log(),
        rollout.q_what.scale[rows].log(),
    ]
    split = [part.clone() for part in own]
    lone = (counts == 1) & (most > 1)
    if lone.any():
        for place, half in enumerate(_halves(model, rollout, rows[lone])):
            for part, values in zip(split, half, strict=True):
                part[lone, place] = values
    steps = torch.arange(most, device=rows.device)
    own_there = (steps <= steps[:, None]).expand(len(rows), most, most)
    split_there = (steps < 2) & lone[:, None]
    parts = [torch.cat([a[:, None].expand(-1, most, -1, -1), b[:, None]], 1) for a, b in zip(own, split, strict=True)]
    return Hypotheses(parts[0], parts[1], parts[2], parts[3], torch.cat([own_there, split_there[:, None]], 1))


def _halves(model: AIR, rollout: Rollout, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Two objects in place of the first one of each scene: the means and log sds of their q.

    They stand one standard deviation of the ink around it to either side of that ink's mean, along its longest axis.
    """
    canvas, side = rollout.canvas[rows], rollout.canvas.shape[-1]
    scale = rollout.z_where[rows, 0, :1]
    near = paste(torch.ones_like(canvas[:, :2, :2]), rollout.z_where[rows, 0] / AROUND, side)
    ink = canvas * near
    ink = ink / ink.sum((1, 2), keepdim=True).clamp_min(1e-6)
    line = (torch.arange(side, device=rows.device) * 2 + 1) / side - 1
    places = torch.stack([line.repeat(side), line.repeat_interleave(side)], 1)  # [D * D, 2] (x, y) of each pixel
    mean = ink.flatten(1) @ places  # [R, 2]
    off = places - mean[:, None]
    covariance = (off * ink.flatten(1)[..., None]).transpose(1, 2) @ off
    spread, axes = torch.linalg.eigh(covariance)  # rising
    step = axes[:, :, 1] * spread[:, 1:].clamp_min(0).sqrt()
    for centre in (mean + step, mean - step):
        where = torch.cat([scale, scale * centre], 1)
        with torch.no_grad():
            q_what = model.encode(crop(canvas, where, rollout.glimpses.shape[-1]))
        yield where, q_what.loc, rollout.q_where.scale[rows, 0].log(), q_what.scale.log()


def climb(model: AIR, canvas: Tensor, start: Hypotheses, steps: int = STEPS) -> tuple[Tensor, Tensor, Tensor]:
    """The mean poses and contents of hypotheses about scenes ``canvas`` [R, D, D] after so many steps, and the bounds.

    [R, H, N, 3], [R, H, N, C] and, in nats, [R, H].
    A hypothesis without objects that are there has the bound -inf.
    """
    there, sd = start.there, model.config.model.likelihood_sd
    scene, hypothesis, index = there.nonzero(as_tuple=True)  # the T objects that are there
    group = scene * there.shape[1] + hypothesis

    def sums(values: Tensor) -> Tensor:
        """Sums of ``values`` [T, ...] over the objects of a hypothesis, [R, H, ...]."""
        zeros = values.new_zeros(there.shape[0] * there.shape[1], *values.shape[1:])
        return zeros.index_add(0, group, values).unflatten(0, there.shape[:2])

    where, what, log_sd_where, log_sd_what = free = [
        part[there].clone().requires_grad_()
        for part in (start.where, start.what, start.log_sd_where, start.log_sd_what)
    ]

    def bound(noise: Noise) -> Tensor:
        q_where = Normal(where, log_sd_where.exp(), validate_args=False)
        q_what = Normal(what, log_sd_what.exp(), validate_args=False)
        kl = kl_divergence(q_where, model.prior.where).sum(1) + kl_divergence(q_what, model.prior.what(what)).sum(1)
        total = -sums(kl)
        for sign in (1, -1):
            z_where = q_where.loc + sign * q_where.scale * noise.where[0, index]
            z_what = q_what.loc + sign * q_what.scale * noise.what[0, index]
            drawn = paste(model.decoder(z_what), z_where, canvas.shape[-1]).flatten(1)
            squares = (canvas.flatten(1)[:, None] - sums(drawn)).square().sum(2)
            total = total + 0.5 * Likelihood.density(squares, canvas[0].numel(), sd)
        return total

    generator = torch.Generator(canvas.device).manual_seed(0)  # fixed: the same picture has the same answer
    pairs = [model.noise(1, generator, there.shape[2]) for _ in range(PAIRS)]
    rates = (LR_WHERE, LR_WHAT, LR_SD, LR_SD)
    adam = torch.optim.Adam([{"params": [p], "lr": lr} for p, lr in zip(free, rates, strict=True)], betas=(0.8, 0.9))
    with torch.enable_grad():
        for step in range(steps):
            gradients = torch.autograd.grad(-bound(pairs[step % PAIRS]).sum(), free)
            for tensor, gradient in zip(free, gradients, strict=True):
                tensor.grad = gradient  # of these alone: a second look leaves nothing in the model
            adam.step()
    with torch.no_grad():
        bounds = torch.stack([bound(pair) for pair in pairs]).mean(0)

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.masked_scatter(there[..., None], new.detach())

    bounds = bounds.masked_fill(~there.any(2), -torch.inf)
    return put(start.where, where), put(start.what, what), bounds
