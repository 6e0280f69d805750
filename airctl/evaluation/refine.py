"""A second look at the scenes that the first pass explains badly: a few gradient steps on the ELBO of each count.

The inference network errs mostly on touching objects: it sets one glimpse between two of them, and the reconstruction is
poor. So where too much of a scene is unexplained, or the count is not clear, the poses and contents of every count
n = 1..N start from the roll-out and climb

    bound_n = log p(x | canvas_n) - sum_{i <= n} (KL_where_i + KL_what_i)

on their own, the standard deviations of q held; q(n) is then proportional to p(n) exp(bound_n), and the objects are
those of the best count. No label is used. Semi-amortised inference: Kim et al. 2018; Marino et al. 2018. The constants
were chosen on validation scenes (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from airctl.evaluation.counts import rollouts
from airctl.model import AIR, Noise, Rollout, paste
from airctl.objectives import CountTerms
from airctl.objectives.terms import Likelihood

UNEXPLAINED = 0.25  # share of a scene's squared brightness that may be left over
CERTAIN = 0.95  # q(n) of the most probable count from which it is clear
STEPS = 15
DRAWS = 4  # pairs of noise behind a bound
LR_WHERE, LR_WHAT = 0.1, 0.2  # of Adam, in units of z_where and z_what


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

    In the scenes of a second look log_q is the refined posterior over n, z_where, z_what, objects and pasted are those
    of its most probable count n (beyond step n, of the first pass); the other fields are of the first pass.
    """
    rows = badly_explained(rollout, terms).nonzero()[:, 0]
    if len(rows) == 0:
        return rollout, terms
    generator = torch.Generator(rows.device).manual_seed(0)  # the same picture has the same answer
    draws = [model.noise(1, generator, rollout.z_where.shape[1]) for _ in range(DRAWS)]
    bounds, where, what = climb(model, rollout, rows, draws)
    log_q = (torch.cat([terms.log_likelihood[rows, :1], bounds], 1) + terms.log_p).log_softmax(1)
    reached = log_q.flip(1).logcumsumexp(1).flip(1)  # log q(n >= i)
    best = log_q.argmax(1)
    taken = torch.arange(where.shape[2], device=best.device) < best[:, None]  # [R, N]
    chosen = (best - 1).clamp_min(0)
    each = torch.arange(len(rows), device=best.device)
    z_where = torch.where(taken[..., None], where[each, chosen], rollout.z_where[rows])
    z_what = torch.where(taken[..., None], what[each, chosen], rollout.z_what[rows])
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
            log_q_continue=put(terms.log_q_continue, reached.diff(dim=1).clamp_max(0)),
            log_q_stop=put(terms.log_q_stop, log_q[:, :-1] - reached[:, :-1]),
        ),
    )


def climb(model: AIR, rollout: Rollout, rows: Tensor, draws: list[Noise]) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds of n = 1..N [R, N] for the scenes ``rows`` [R], and the poses [R, N, N, 3] and contents [R, N, N, C].

    Index [r, n - 1, i - 1] is object i of count n; objects beyond n are not moved.
    """
    number, steps = len(rows), rollout.z_where.shape[1]
    counts, objects = torch.tril_indices(steps, steps, device=rows.device)  # the T pairs of a count and its objects
    member = torch.zeros(steps, len(counts), device=rows.device)
    member[counts, torch.arange(len(counts), device=rows.device)] = 1.0  # [N, T]
    canvas = rollout.canvas[rows]
    sd_where, sd_what = rollout.q_where.scale[rows][:, objects], rollout.q_what.scale[rows][:, objects]
    where = rollout.z_where[rows][:, objects].clone().requires_grad_()
    what = rollout.z_what[rows][:, objects].clone().requires_grad_()
    adam = torch.optim.Adam([{"params": [where], "lr": LR_WHERE}, {"params": [what], "lr": LR_WHAT}], betas=(0.8, 0.9))

    def bound(where_noise: Tensor, what_noise: Tensor) -> Tensor:
        z_where, z_what = where + sd_where * where_noise, what + sd_what * what_noise
        drawn = paste(model.decoder(z_what).flatten(0, 1), z_where.flatten(0, 1), canvas.shape[-1])
        canvases = member @ drawn.unflatten(0, (number, -1)).flatten(2)  # [R, N, D * D]
        squares = (canvas.flatten(1)[:, None] - canvases).square().sum(2)
        kl_where = kl_divergence(Normal(where, sd_where, validate_args=False), model.prior.where).sum(2)
        kl_what = kl_divergence(Normal(what, sd_what, validate_args=False), model.prior.what(what)).sum(2)
        sd = model.config.model.likelihood_sd
        return Likelihood.from_squares(squares, canvas[0].numel(), sd) - (kl_where + kl_what) @ member.T

    # At the means an object would not pay for the spread of q, some nats each, and two would look cheaper than one. So
    # the last word has noise, the same for every count, both ways round; the climb itself is steadier without it.
    none = torch.zeros(()).to(where)
    with torch.enable_grad():
        for _ in range(STEPS):
            # Only these two: a second look leaves no gradient in the model.
            where.grad, what.grad = torch.autograd.grad(-bound(none, none).sum(), [where, what])
            adam.step()
    with torch.no_grad():
        total = torch.zeros(number, steps).to(where)
        for noise in draws:
            noise_where, noise_what = noise.where[:, objects], noise.what[:, objects]
            total += bound(noise_where, noise_what) + bound(-noise_where, -noise_what)
        bounds = total / (2 * len(draws))
    poses = rollout.z_where[rows][:, None].repeat(1, steps, 1, 1)
    contents = rollout.z_what[rows][:, None].repeat(1, steps, 1, 1)
    poses[:, counts, objects], contents[:, counts, objects] = where.detach(), what.detach()
    return bounds, poses, contents
