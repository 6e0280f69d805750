"""NVIL: the centre moves nothing, the scale shrinks the score's part by one factor, and both are learnt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import (
    Problem,
    enumerated,
    exact_gradient,
    gradient,
    is_moved_by_the_model,
    leaks,
    learns,
    mean,
    neural,
    relative_bias,
    total_variance,
)

from airctl.config import Config
from airctl.objectives import NVIL, NoBaseline, ScoreFunction, no_signal, per_step_signal

Tiny = Callable[..., Config]


def nvil(config: Config, centre: float, variance: float) -> NVIL:
    """NVIL that has seen signals of this mean and variance, and learns nothing more."""
    built = NVIL(neural(config, "previous"))
    built.modules.double().eval()
    built.moments.mean.fill_(centre)
    built.moments.variance.fill_(variance)
    return built


@pytest.mark.parametrize("variance", [0.0, 1.0])
def test_without_a_scale_the_mean_gradient_is_the_exact_one(tiny_config: Tiny, variance: float) -> None:
    """max(1, sd) is 1 for a small variance: what is left is a baseline and a centre."""
    config = tiny_config()
    assert relative_bias(Problem.of(config), nvil(config, -60.0, variance)) < 1e-8


def test_the_scale_divides_the_scores_part_and_nothing_else(tiny_config: Tiny) -> None:
    """The mean gradient is the path-wise part plus 1 / sd of what q(n) adds to it: the bias that it states."""
    config = tiny_config()
    problem = Problem.of(config)
    path = mean(*enumerated(problem, ScoreFunction(no_signal, NoBaseline())))
    exact = exact_gradient(problem)
    expected = path + (exact - path) / 20
    assert (mean(*enumerated(problem, nvil(config, -60.0, 400.0))) - expected).norm() < 1e-8 * exact.norm()
    assert (expected - exact).norm() > 0.01 * exact.norm()


def test_it_moves_toward_the_mean_and_the_variance_of_what_it_sees(tiny_config: Tiny) -> None:
    """With NoBaseline the centre nears the mean signal of the decisions drawn and the scale its spread."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe(2000)
    built = NVIL(NoBaseline())
    built.modules.double().train()
    generator, signals = torch.Generator().manual_seed(0), []
    for _ in range(60):
        counts = torch.multinomial(terms.log_q.exp(), 1, generator=generator)[:, 0]
        built.given(objects, terms, counts)
        drawn = torch.arange(3) <= counts[:, None]
        signals.append(per_step_signal(terms, counts)[drawn])
    seen = torch.cat(signals).detach()
    assert built.moments.mean.item() == pytest.approx(seen.mean().item(), rel=0.02)
    assert built.moments.scale.item() == pytest.approx(seen.std().item(), rel=0.1)


def test_in_evaluation_mode_it_learns_nothing(tiny_config: Tiny) -> None:
    """The variance report must measure one estimator, not one that goes on changing."""
    config = tiny_config()
    problem, built = Problem.of(config), nvil(config, -60.0, 400.0)
    built(*problem.observe(8), torch.Generator().manual_seed(0))
    assert (built.moments.mean.item(), built.moments.variance.item()) == (-60.0, 400.0)


def test_its_baseline_is_taught_and_isolated(tiny_config: Tiny) -> None:
    """Fitting it does not move the model, training the model does not move it, and all of it learns."""
    config = tiny_config()
    problem, built = Problem.of(config), nvil(config, -60.0, 400.0)
    assert not leaks(problem, built)
    assert not is_moved_by_the_model(problem, built)
    assert learns(problem, built)


def test_a_centre_near_the_signal_lowers_the_variance(tiny_config: Tiny) -> None:
    """Against the same estimator with its centre far off."""
    config = tiny_config()
    problem = Problem.of(config)
    objects, terms = problem.observe()
    off = neural(config, "previous")(objects, torch.zeros(1)).mean() - terms.elbo.mean()
    near, far = nvil(config, -off.item(), 0.0), nvil(config, -off.item() + 300, 0.0)
    assert total_variance(*enumerated(problem, near)) < 0.5 * total_variance(*enumerated(problem, far))


def test_expected_is_the_mean_over_every_count(tiny_config: Tiny) -> None:
    """The enumerated surrogate has the mean gradient, scale and centre included."""
    config = tiny_config()
    problem, built = Problem.of(config), nvil(config, -60.0, 400.0)
    loss = built.expected(*problem.observe()).loss
    truth = mean(*enumerated(problem, built))
    assert (gradient(loss, problem.parameters) - truth).norm() < 1e-8 * truth.norm()
