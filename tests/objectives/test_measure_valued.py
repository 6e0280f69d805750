"""The measure-valued derivative: both outcomes of each decision, each with the right probability."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from laws import (
    Problem,
    enumerated,
    exact_gradient,
    exact_logit_gradient,
    gradient,
    logit_gradients,
    mean,
    total_variance,
    with_constant_signal,
    within,
)
from torch import Tensor

from airctl.config import Config
from airctl.model import Objects
from airctl.objectives import MeasureValued, NoBaseline, ScoreFunction, Surrogate, Terms, per_step_signal

Tiny = Callable[..., Config]


class OffByOne(MeasureValued):
    """Takes the count for the one before it, as a mask that is shifted by one step would."""

    def given(self, objects: Objects, terms: Terms, counts: Tensor, further: Tensor) -> Surrogate:
        return super().given(objects, terms, (counts - 1).clamp_min(0), further)


def outcomes(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """All (n, the count had it gone on) with their probabilities."""
    terms = problem.observe()[1]
    steps = terms.log_q.shape[1] - 1
    counts, further = torch.tensor(list(product(range(steps + 1), repeat=2))).unbind(1)
    q = terms.log_q.detach().exp()[0]
    onward = torch.stack([terms.code.beyond(terms.log_q, torch.tensor([n]))[0] for n in range(steps + 1)])
    return counts, further, q[counts] * onward[counts, further]


@pytest.mark.parametrize("num_steps", [1, 3])
def test_mean_gradient_is_the_exact_one(tiny_config: Tiny, num_steps: int) -> None:
    """In all parameters, summed over the sampled count and what would have come after it."""
    problem = Problem.of(tiny_config(f"model.num_steps={num_steps}"))
    objects, terms = problem.observe()
    counts, further, weights = outcomes(problem)
    assert weights.sum().item() == pytest.approx(1)
    pairs = zip(counts, further, strict=True)
    gradients = [
        gradient(MeasureValued().given(objects, terms, n[None], m[None]).loss, problem.parameters) for n, m in pairs
    ]
    exact = exact_gradient(problem)
    assert (mean(torch.stack(gradients), weights) - exact).norm() < 1e-8 * exact.norm()


def test_expected_is_the_exact_gradient(tiny_config: Tiny) -> None:
    """For a batch: enumerated over both draws, nothing is left but the exact gradient."""
    problem = Problem.of(tiny_config(), batch=2)
    loss = MeasureValued().expected(*problem.observe()).loss
    exact = exact_gradient(problem)
    assert (gradient(loss, problem.parameters) - exact).norm() < 1e-8 * exact.norm()


def test_a_mask_off_by_one_is_caught(tiny_config: Tiny) -> None:
    """Negative control: the decisions of another count move the mean gradient."""
    problem = Problem.of(tiny_config())
    counts, further, weights = outcomes(problem)
    wrong = logit_gradients(problem, lambda *both: OffByOne().given(*both, counts, further), len(counts))
    exact = exact_logit_gradient(problem)
    assert (mean(wrong, weights) - exact).norm() > 0.05 * exact.norm()


def test_the_sampled_gradient_has_that_mean(tiny_config: Tiny) -> None:
    """With its own draws, 4 000 of them: within 5 standard errors in each logit."""
    problem = Problem.of(tiny_config())
    generator = torch.Generator().manual_seed(0)
    gradients = logit_gradients(problem, lambda *both: MeasureValued()(*both, generator), 4000)
    assert within(gradients, exact_logit_gradient(problem))


def test_what_lies_beyond_n_is_q_given_more_than_n(tiny_config: Tiny) -> None:
    """q(m | m > n) sums to one, has nothing at or below n, and for n = N stays there."""
    terms = Problem.of(tiny_config()).observe()[1]
    q = terms.log_q.detach().exp()[0]
    for n in range(3):
        expected = torch.where(torch.arange(4) > n, q, 0.0)
        torch.testing.assert_close(terms.code.beyond(terms.log_q, torch.tensor([n]))[0], expected / expected.sum())
    assert terms.code.beyond(terms.log_q, torch.tensor([3]))[0].tolist() == [0, 0, 0, 1]


def test_variance_is_far_below_the_score_functions(tiny_config: Tiny) -> None:
    """In the logits, at the size that the ELBO has here, without any baseline."""
    problem = Problem.of(tiny_config())
    counts, further, weights = outcomes(problem)
    ours = logit_gradients(problem, lambda *both: MeasureValued().given(*both, counts, further), len(counts))
    plain = enumerated(problem, ScoreFunction(per_step_signal, NoBaseline()), of_logits=True)
    assert total_variance(ours, weights) < 0.1 * total_variance(*plain)


def test_a_constant_signal_gives_no_gradient_at_all(tiny_config: Tiny) -> None:
    """Where every count is worth the same, no decision changes anything."""
    problem = Problem.of(tiny_config())
    counts, further, _ = outcomes(problem)

    def constant(objects: Objects, terms: Terms) -> Surrogate:
        return MeasureValued().given(objects, with_constant_signal(terms), counts, further)

    assert logit_gradients(problem, constant, len(counts)).abs().max() < 1e-9
