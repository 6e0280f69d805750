"""How probable a model finds scenes: log p(x) by importance sampling, and bits per dimension at 256 levels.

    log p(x) >= E log 1/K sum_j sum_k w_jk,   w_jk = p(x, k, z_j) / q(z_j | x)

z_j are K samples of all M objects from q(z_where, z_what | x), k runs over the codewords: presence is summed out, and
q(z_pres) plays no part. The mean of the sums is p(x) for any K, for the unary code and for subsets; its logarithm is
below log p(x) and nears it as K grows (Burda, Grosse & Salakhutdinov 2016). K = 1 is a collapsed bound with the log
ratios at the sample.

The network of proposals looks at its best cells alone, with at most half a pixel of freedom. Poses that q cannot reach
are missing: the estimate stays below log p(x) by what they would add.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from airctl.group import ALONE, Group
from airctl.inference import Images, chunk_of, passes
from airctl.inference.passes import chunks
from airctl.model import AIR, Likelihood, Noise, Objects
from airctl.objectives import Terms
from airctl.objectives.importance import log_weights
from airctl.results.evaluation import DensityReport

SCENES, COPIES = 25, 10  # scenes and samples of each in one pass, whatever K: memory does not grow with either


def summed(objects: Objects, terms: Terms) -> Tensor:
    """log p(x, k, z) - log q(z | x) for each codeword k at the sampled z, nats [B, K]."""
    return log_weights(objects, terms) + terms.log_q


@torch.no_grad()
def log_evidence(
    model: AIR, images: Tensor | Images, log_p: Tensor, samples: int, generator: torch.Generator, group: Group = ALONE
) -> Tensor:
    """The estimate of log p(x) from ``samples`` samples for each of uint8 ``images`` [S, D, D], nats, float64 [S].

    ``log_p`` [M + 1] is the count prior, and its length says how many objects are proposed.
    """
    size = len(log_p) - 1
    found: list[Tensor] = []
    for scenes, is_mine in chunks(images, max(1, min(SCENES, chunk_of(tuple(images.shape)) // COPIES)), group):
        total = torch.full((len(scenes),), -torch.inf, dtype=torch.float64, device=scenes.device)
        for start in range(0, samples, COPIES):
            copies = min(COPIES, samples - start)
            noise = model.noise(len(scenes) * copies, generator, size)
            if not is_mine:
                continue
            objects, terms = next(passes(model, scenes, log_p, partial(_given, noise)))
            each = summed(objects, terms).double().logsumexp(1).unflatten(0, (len(scenes), copies))
            total = torch.logaddexp(total, each.logsumexp(1))
        if is_mine:
            found.append(total - math.log(samples))
    return group.joined(found)


def _given(noise: Noise, batch: int) -> Noise:
    return noise


def bits_per_dimension(objects: Objects, terms: Terms, likelihood: Likelihood) -> Tensor:
    """An upper bound of -log2 P(x) / pixels, P that of a scene of 256 levels, from one sample of z, [B].

    By the most probable codeword alone, whose weight is at most the sum of all: one canvas a scene, however many
    codewords. The pixels of ``objects.canvas`` must be levels, k / 255.
    """
    log_w = summed(objects, terms)
    best = log_w.argmax(1)
    mean = objects.layers.sum(objects.code.decisions(best)[1].to(log_w))
    rest = (log_w - terms.log_likelihood).gather(1, best[:, None])[:, 0]
    pixels = objects.canvas[0].numel()
    return likelihood.bits_per_dimension(objects.canvas, mean) - rest / (pixels * math.log(2))


def evaluate_densities(
    model: AIR,
    images: Tensor | Images,
    log_p: Tensor,
    samples: int | None,
    generator: torch.Generator,
    group: Group = ALONE,
) -> DensityReport:
    """Both for uint8 ``images`` [S, D, D]; log p(x) only if ``samples`` says from how many.

    The processes of a ``group`` share the passes.
    """
    size = len(log_p) - 1
    passed = passes(model, images, log_p, lambda batch: model.noise(batch, generator, size), group)
    bits = group.joined([bits_per_dimension(objects, terms, model.likelihood) for objects, terms in passed])
    report = DensityReport(bits_per_dimension=float(bits.double().mean()))
    if samples is None:
        return report
    nats = log_evidence(model, images, log_p, samples, generator, group)
    error = float(nats.std() / math.sqrt(len(nats))) if len(nats) > 1 else None
    return DensityReport(
        bits_per_dimension=report.bits_per_dimension,
        log_likelihood=float(nats.mean()),
        log_likelihood_error=error,
        log_likelihood_samples=samples,
    )
