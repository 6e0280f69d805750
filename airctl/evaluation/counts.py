"""How well a model counts: accuracy, confusion matrix and ELBO on scenes whose true counts are known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from airctl.group import ALONE, Group
from airctl.inference import Images, passes
from airctl.model import AIR, Noise
from airctl.results.evaluation import CountReport


def sample_counts(
    model: AIR, images: Tensor | Images, log_p: Tensor, generator: torch.Generator, group: Group = ALONE
) -> tuple[Tensor, Tensor]:
    """One posterior sample n ~ q(n | z), z ~ q for each scene, [S], and its one-sample objective in nats, [S]."""
    size = len(log_p) - 1
    counts, elbos = [], []

    def noise(batch: int) -> Noise:
        return model.noise(batch, generator, size)

    def skip(batch: int) -> None:
        noise(batch)
        torch.multinomial(log_p.new_ones(batch, size + 1), 1, generator=generator)

    for objects, terms in passes(model, images, log_p, noise, group, skip):
        log_count = objects.code.by_count(model.network.read(terms.log_q, terms.log_w))
        counts.append(torch.multinomial(log_count.exp(), 1, generator=generator)[:, 0])
        elbos.append(model.network.objective(terms.log_q, terms.log_w))
    return group.joined(counts), group.joined(elbos)


def evaluate_counts(
    model: AIR,
    images: Tensor | Images,
    inferred: np.ndarray,
    true_counts: np.ndarray,
    log_p: Tensor,
    generator: torch.Generator,
    group: Group = ALONE,
) -> CountReport:
    """Compare the ``inferred`` counts [S] of ``images`` (uint8 [S, D, D]) with ``true_counts`` [S].

    The ELBO is a one-sample estimate from the pass that samples a count for each scene, so it is unbiased; ``log_p``
    [N + 1] is the count prior, and its length says how many objects to propose.
    The processes of a ``group`` share the passes.
    """
    sampled, elbo = sample_counts(model, images, log_p, generator, group)
    true = true_counts.astype(np.int64)
    size = max(int(true.max(initial=0)) + 1, len(log_p))
    confusion = np.zeros((size, size), np.int64)
    np.add.at(confusion, (true, inferred), 1)
    accuracy = float((inferred == true).mean())
    return CountReport(
        count_accuracy=accuracy,
        count_accuracy_sampled=float((sampled.cpu().numpy() == true).mean()),
        standard_error=float(np.sqrt(accuracy * (1 - accuracy) / len(true))),
        per_count_accuracy={n: float(confusion[n, n] / confusion[n].sum()) for n in np.unique(true).tolist()},
        confusion=confusion.tolist(),
        elbo=float(elbo.mean()),
        scenes=len(true),
    )
