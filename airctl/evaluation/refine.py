"""A second look at the scenes that the first pass explains badly: a few gradient steps on the ELBO of each count.

The inference network errs mostly on touching objects: it sets one glimpse between two of them and reconstructs badly.
So where too much of a scene is unexplained, or the count is not clear, q(z_where) and q(z_what) of every count
n = 1..N start from the roll-out, and their means and standard deviations climb

    bound_n = E_q log p(x | canvas_n) - sum_{i <= n} (KL_where_i + KL_what_i)

each on its own; q(n) is then proportional to p(n) exp(bound_n), and the objects are those of the best count. No label
is used. Semi-amortised inference: Kim et al. 2018; Marino et al. 2018. The expectation needs its noise: at the means
an object would not pay for the spread of its q, some nats, and two objects would look cheaper than one. The constants
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

UNEXPLAINED = 0.2  # share of a scene's squared brightness that may be left over
CERTAIN = 0.95  # q(n) of the most probable count from which it is clear
STEPS = 20
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
    bounds, where, what = climb(model, rollout, rows)
    log_q = (torch.cat([terms.log_likelihood[rows, :1], bounds], 1) + terms.log_p).log_softmax(1)
    reached = log_q.flip(1).logcumsumexp(1).flip(1)  # log q(n >= i)
    best, each = log_q.argmax(1), torch.arange(len(rows), device=rows.device)
    taken = (torch.arange(where.shape[2], device=rows.device) < best[:, None])[..., None]  # [R, N, 1]
    of_best = each, (best - 1).clamp_min(0)
    z_where = torch.where(taken, where[of_best], rollout.z_where[rows])
    z_what = torch.where(taken, what[of_best], rollout.z_what[rows])
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


def climb(model: AIR, rollout: Rollout, rows: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds of n = 1..N [R, N] for the scenes ``rows`` [R], and the mean poses [R, N, N, 3] and contents [R, N, N, C].

    Index [r, n - 1, i - 1] is object i of count n; objects beyond n are those of the roll-out.
    """
    number, most = len(rows), rollout.z_where.shape[1]
    count, index = torch.tril_indices(most, most, device=rows.device)  # the T pairs of a count and one of its objects
    member = (count == torch.arange(most, device=rows.device)[:, None]).to(rollout.z_where)  # [N, T]
    canvas, sd = rollout.canvas[rows], model.config.model.likelihood_sd

    def start(values: Tensor) -> Tensor:
        return values[rows][:, index].clone().requires_grad_()  # [R, T, ...]

    where, what = start(rollout.z_where), start(rollout.z_what)
    log_sd_where, log_sd_what = start(rollout.q_where.scale.log()), start(rollout.q_what.scale.log())

    def bound(noise: Noise) -> Tensor:
        q_where = Normal(where, log_sd_where.exp(), validate_args=False)
        q_what = Normal(what, log_sd_what.exp(), validate_args=False)
        total = -(kl_divergence(q_where, model.prior.where).sum(2) @ member.T)
        total = total - kl_divergence(q_what, model.prior.what(what)).sum(2) @ member.T
        for sign in (1, -1):
            z_where = q_where.loc + sign * q_where.scale * noise.where[:, index]
            z_what = q_what.loc + sign * q_what.scale * noise.what[:, index]
            drawn = paste(model.decoder(z_what).flatten(0, 1), z_where.flatten(0, 1), canvas.shape[-1])
            canvases = member @ drawn.unflatten(0, (number, -1)).flatten(2)  # [R, N, D * D]
            squares = (canvas.flatten(1)[:, None] - canvases).square().sum(2)
            total = total + 0.5 * Likelihood.density(squares, canvas[0].numel(), sd)
        return total

    generator = torch.Generator(rows.device).manual_seed(0)  # fixed: the same picture has the same answer
    pairs = [model.noise(1, generator, most) for _ in range(PAIRS)]
    learnt = {where: LR_WHERE, what: LR_WHAT, log_sd_where: LR_SD, log_sd_what: LR_SD}
    adam = torch.optim.Adam([{"params": [tensor], "lr": lr} for tensor, lr in learnt.items()], betas=(0.8, 0.9))
    with torch.enable_grad():
        for step in range(steps):
            gradients = torch.autograd.grad(-bound(pairs[step % PAIRS]).sum(), list(learnt))
            for tensor, gradient in zip(learnt, gradients, strict=True):
                tensor.grad = gradient  # of these alone: a second look leaves nothing in the model
            adam.step()
    with torch.no_grad():
        bounds = torch.stack([bound(pair) for pair in pairs]).mean(0)
    poses, contents = (z[rows][:, None].repeat(1, most, 1, 1) for z in (rollout.z_where, rollout.z_what))
    poses[:, count, index], contents[:, count, index] = where.detach(), what.detach()
    return bounds, poses, contents
