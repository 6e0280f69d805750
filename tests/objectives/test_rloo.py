"""RLOO: an honest leave-one-out, whose variance falls with K as that of a U-statistic must."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import (
    Problem,
    all_counts,
    exact_gradient,
    exact_logit_gradient,
    gradient,
    logit_gradients,
    mean,
    probabilities,
    total_variance,
    with_constant_signal,
)
from torch import Tensor

from airctl.config import Config
from airctl.model import Objects
from airctl.objectives import RLOO, Surrogate, Terms
from airctl.objectives.terms import at

Tiny = Callable[..., Config]


class MeanOfAll(RLOO):
    """Subtracts the mean of all K, the count's own among them."""

    def given(self, objects: Objects, terms: Terms, counts: Tensor) -> Surrogate:
        signal = at(terms.bracket, counts).detach()
        score = (signal - signal.mean(1, keepdim=True)) * at(terms.log_q, counts)
        path = at(terms.log_likelihood - terms.kl, counts)
        return Surrogate(-(path + score).mean(), terms.elbo.new_zeros(()), terms.elbo.detach())


def enumerated(problem: Problem, samples: int, kind: type[RLOO] = RLOO) -> tuple[Tensor, Tensor]:
    """Gradients in the logits of all outcomes of K counts, and their probabilities."""
    counts, estimator = all_counts(samples), kind(samples)
    gradients = logit_gradients(problem, lambda *both: estimator.given(*both, counts), len(counts))
    return gradients, probabilities(problem, counts)


@pytest.mark.parametrize("samples", [2, 3])
def test_mean_gradient_is_the_exact_one(tiny_config: Tiny, samples: int) -> None:
    """In all parameters, summed over all (N + 1)^K outcomes."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe()
    counts = all_counts(samples)
    gradients = [gradient(RLOO(samples).given(objects, terms, row[None]).loss, problem.parameters) for row in counts]
    exact = exact_gradient(problem)
    assert (mean(torch.stack(gradients), probabilities(problem, counts)) - exact).norm() < 1e-8 * exact.norm()


def test_a_mean_that_includes_its_own_count_is_caught(tiny_config: Tiny) -> None:
    """Negative control: with the mean of all K as the baseline the gradient is (K - 1) / K of the exact one."""
    problem = Problem.of(tiny_config())
    exact = exact_logit_gradient(problem)
    torch.testing.assert_close(mean(*enumerated(problem, 2)), exact, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mean(*enumerated(problem, 2, MeanOfAll)), exact / 2, rtol=1e-9, atol=1e-9)


def test_variance_falls_with_k_as_a_u_statistics_does(tiny_config: Tiny) -> None:
    """With h = (f_1 - f_2)(s_1 - s_2) / 2: Var = [4 (K - 2) Var E(h | 1) + 2 Var h] / (K (K - 1)), Hoeffding 1948."""
    problem = Problem.of(tiny_config())
    q = problem.observe()[1].log_q.detach().exp()[0]
    pairs = enumerated(problem, 2)[0].unflatten(0, (4, 4))  # the gradient for K = 2 is h itself
    second = total_variance(pairs.flatten(0, 1), torch.outer(q, q).flatten())
    first = total_variance(torch.einsum("j,ijn->in", q, pairs), q)
    variances = [total_variance(*enumerated(problem, samples)) for samples in (2, 3, 4)]
    expected = [(4 * (k - 2) * first + 2 * second) / (k * (k - 1)) for k in (2, 3, 4)]
    assert variances == pytest.approx(expected, rel=1e-9)
    assert variances[0] > variances[1] > variances[2]


def test_a_constant_signal_gives_no_gradient_at_all(tiny_config: Tiny) -> None:
    """Where every count is worth the same, leaving one out leaves nothing, in each outcome."""
    counts = all_counts(3)
    gradients = logit_gradients(
        Problem.of(tiny_config()), lambda r, t: RLOO(3).given(r, with_constant_signal(t), counts), len(counts)
    )
    assert gradients.abs().max() < 1e-9


def test_it_draws_k_counts_of_q(tiny_config: Tiny) -> None:
    """The counts it samples have the frequencies q(n), within 5 standard errors."""
    seen = []

    class Recording(RLOO):
        def given(self, objects: Objects, terms: Terms, counts: Tensor) -> Surrogate:
            seen.append(counts)
            return super().given(objects, terms, counts)

    objects, terms = Problem.of(tiny_config()).observe(500)
    Recording(8)(objects, terms, torch.Generator().manual_seed(0))
    q = terms.log_q.exp()[0]
    share = seen[0].flatten().bincount(minlength=4) / 4000
    assert seen[0].shape == (500, 8)
    assert ((share - q).abs() < 5 * (q * (1 - q) / 4000).sqrt()).all()
