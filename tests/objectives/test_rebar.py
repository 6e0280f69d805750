"""REBAR: what the control variate takes away it puts back, whatever its size and temperature."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, exact_gradient, exact_logit_gradient, gradient, leaks, logit_gradients, within
from torch import Tensor

from airctl.config import Config
from airctl.model import Objects
from airctl.objectives import Rebar, Terms
from airctl.objectives.concrete import logistic
from airctl.objectives.rebar import given_decisions

Tiny = Callable[..., Config]
SIDE = 60  # points in each direction of the integrals


def rebar(eta: float = 1.0, temperature: float = 0.67, kind: type[Rebar] = Rebar) -> Rebar:
    built = kind(temperature)
    built.modules.double()
    with torch.no_grad():
        built.control.eta.fill_(eta)
    return built


class NotPutBack(Rebar):
    """Subtracts the control variate, and forgets the terms that make up for it."""

    def slope(self, objects: Objects, terms: Terms, noise: Tensor, other: Tensor) -> Tensor:
        full = super().slope(objects, terms, noise, other)
        b = (objects.logits + noise > 0).double()
        held = terms.detached()
        relaxed = self.relaxed(objects, held, given_decisions(b, objects.logits.detach(), other))
        f = self.relaxed(objects, held, (2 * b - 1) * 1e6)
        return (f - self.control.eta * relaxed)[:, None] * (b - objects.logits.sigmoid()) + 0 * full


def quadrature(problem: Problem, estimator: Rebar) -> Tensor:
    """The mean gradient in the logit for N = 1, integrated over both uniforms, split where the decision changes."""
    middle = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    u, v = torch.cartesian_prod(middle, middle).unbind(1)
    logit = problem.observe()[0].logits.detach()[0, 0]
    p = logit.sigmoid()
    total = torch.zeros(1, dtype=torch.float64)
    for weight, low, high in ((1 - p, torch.zeros_like(p), 1 - p), (p, 1 - p, torch.ones_like(p))):
        noise = (low + (high - low) * u).logit()[:, None]
        rows = logit_gradients(problem, lambda *both: estimator.given(*both, noise, v.logit()[:, None]), SIDE**2)  # noqa: B023
        total = total + weight * rows.mean(0)
    return total


@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("eta", [0.0, 1.0, -2.0])
def test_mean_gradient_is_the_exact_one_for_any_control(tiny_config: Tiny, eta: float, temperature: float) -> None:
    """One step, by numerical integration over the noise and its conditional copy."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    exact = exact_logit_gradient(problem)
    torch.testing.assert_close(quadrature(problem, rebar(eta, temperature)), exact, rtol=5e-3, atol=5e-3)


def test_a_control_that_is_not_put_back_is_caught(tiny_config: Tiny) -> None:
    """Negative control: without the gradients of c(u) and c(u~) the mean is another."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    exact = exact_logit_gradient(problem)
    assert (quadrature(problem, rebar(kind=NotPutBack)) - exact).abs() > 0.05 * exact.abs()


def test_the_sampled_gradient_has_that_mean_for_three_steps(tiny_config: Tiny) -> None:
    """20 000 draws, each logit within 5 standard errors; the negative control is far outside."""
    problem = Problem.of(tiny_config())
    exact = exact_logit_gradient(problem)
    generator = torch.Generator().manual_seed(0)
    assert within(logit_gradients(problem, lambda *both: rebar()(*both, generator), 20_000), exact)
    wrong = rebar(kind=NotPutBack)
    assert not within(logit_gradients(problem, lambda *both: wrong(*both, generator), 20_000), exact)


def test_mean_gradient_in_all_parameters(tiny_config: Tiny) -> None:
    """The logits' slope and the path-wise part together: 3 000 draws at once, along the exact gradient."""
    problem = Problem.of(tiny_config())
    exact = exact_gradient(problem)
    generator = torch.Generator().manual_seed(1)
    along = []
    for _ in range(30):
        loss = rebar()(*problem.observe(100), generator).loss
        along.append(gradient(loss, problem.parameters) @ exact / exact.square().sum())
    assert within(torch.stack(along), torch.ones(()))


def test_the_control_lowers_the_variance(tiny_config: Tiny) -> None:
    """In the logits, eta = 1 against eta = 0, which is the score function alone."""
    problem = Problem.of(tiny_config())

    def variance(eta: float) -> float:
        generator = torch.Generator().manual_seed(0)
        return logit_gradients(problem, lambda *both: rebar(eta)(*both, generator), 4000).var(0).sum().item()

    assert variance(1.0) < 0.3 * variance(0.0)


def test_leaving_out_what_was_not_reached_lowers_the_variance_and_not_the_mean(tiny_config: Tiny) -> None:
    """Against the slopes of all decisions, on the same draws; a mask that hides a decision that was taken is caught."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe(20_000)
    noise, other = (logistic(objects.logits, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    every = -rebar().slope(objects, terms, noise, other).detach()
    found = logit_gradients(problem, lambda *both: rebar().given(*both, noise, other), 20_000)
    exact = exact_logit_gradient(problem)
    assert within(found, exact)
    assert found.var(0).sum() < every.var(0).sum()
    counts = (objects.logits + noise > 0).long().cumprod(1).sum(1)
    taken_as_one = torch.arange(3) < counts[:, None]
    assert not within(every * taken_as_one, exact)


def test_what_it_learns_lowers_the_variance(tiny_config: Tiny) -> None:
    """60 steps on its own loss from a bad start: eta and the temperature move, and the squared gradient falls."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe(200)
    built = rebar(eta=0.2, temperature=3.0)
    optimiser, generator = torch.optim.Adam(built.modules.parameters(), lr=0.05), torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        loss = built(objects, terms, generator).baseline_loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert built.control.eta.item() > 0.4
    assert abs(built.control.log_temperature.exp().item() - 3.0) > 0.2


def test_learning_the_control_does_not_move_the_model(tiny_config: Tiny) -> None:
    """Its loss has no gradient in the model, and the model's loss none in it."""
    problem = Problem.of(tiny_config())

    class Given(Rebar):
        def given(self, objects: Objects, terms: Terms, *noise: Tensor):  # type: ignore[no-untyped-def]
            generator = torch.Generator().manual_seed(0)
            draws = noise if len(noise) == 2 else [logistic(objects.logits, generator) for _ in range(2)]
            return super().given(objects, terms, *draws)

    built = rebar(kind=Given)
    assert not leaks(problem, built)
    surrogate = built(*problem.observe(), torch.Generator().manual_seed(0))
    assert not gradient(surrogate.loss, list(built.modules.parameters())).any()
    assert gradient(surrogate.baseline_loss, list(built.modules.parameters())).all()


def test_in_evaluation_mode_the_gradient_is_the_same(tiny_config: Tiny) -> None:
    """Only what it learns by is left out."""
    problem = Problem.of(tiny_config())
    built = rebar()
    losses = [
        built(*problem.observe(), torch.Generator().manual_seed(0)).loss.item()
        for built.modules.training in (True, False)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("decision", [0.0, 1.0])
def test_conditional_noise_has_the_conditional_distribution(decision: float) -> None:
    """u~ given b is logit + logistic noise given its sign: quantile by quantile, and of that sign."""
    logit = torch.tensor(0.7, dtype=torch.float64)
    v = (torch.arange(999, dtype=torch.float64) + 1) / 1000
    found = given_decisions(torch.full_like(v, decision), logit.expand_as(v), v.logit())
    p = logit.sigmoid()
    expected = logit + (v * p + 1 - p if decision else v * (1 - p)).logit()
    torch.testing.assert_close(found, expected)
    assert ((found > 0) == bool(decision)).all()


def test_leading_ones_of_independent_decisions_are_distributed_as_q(tiny_config: Tiny) -> None:
    """20 000 of them, within 5 standard errors for each count."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe(20_000)
    b = objects.logits + logistic(objects.logits, torch.Generator().manual_seed(0)) > 0
    share = b.long().cumprod(1).sum(1).bincount(minlength=4).double() / 20_000
    q = terms.log_q.detach().exp()[0]
    assert ((share - q).abs() < 5 * (q * (1 - q) / 20_000).sqrt()).all()
