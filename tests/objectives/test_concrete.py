"""The Concrete relaxation: unbiased for its own objective, biased for the ELBO, less so the colder it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, exact_logit_gradient, logit_gradients
from torch import Tensor

from airctl.config import Config
from airctl.objectives import Concrete, Temperature
from airctl.objectives.concrete import logistic, relaxed_terms
from airctl.objectives.terms import at

Tiny = Callable[..., Config]
ROWS = 4000


def concrete(temperature: float) -> Concrete:
    return Concrete(Temperature(temperature, temperature, 0))


def uniforms(number: int = ROWS) -> Tensor:
    """Midpoints of equal parts of (0, 1): for one step, the mean over them is an integral, [R, 1]."""
    return ((torch.arange(number, dtype=torch.float64) + 0.5) / number)[:, None]


def mean_logit_gradient(problem: Problem, temperature: float) -> Tensor:
    """Integrated over the noise of the one step, [1]."""
    return logit_gradients(problem, lambda *both: concrete(temperature).given(*both, uniforms().logit()), ROWS).mean(0)


def test_the_path_wise_gradient_is_that_of_the_relaxed_objective(tiny_config: Tiny) -> None:
    """For N = 1, d E[f(z)] / d logit by the score of the logistic density is the same integral: E[f(z) (2 u - 1)]."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    objects, terms = problem.observe(ROWS)
    u = uniforms()
    presence = ((objects.logits + u.logit()) / 0.67).sigmoid()
    by_score = (relaxed_terms(objects, terms, presence)[:, None] * (2 * u - 1)).mean(0).detach()
    p = objects.logits[:1].detach().requires_grad_()
    log_q = torch.cat([torch.nn.functional.logsigmoid(-p), torch.nn.functional.logsigmoid(p)], 1)
    (kl,) = torch.autograd.grad((log_q.exp() * (terms.log_p - log_q)).sum(), p)
    torch.testing.assert_close(mean_logit_gradient(problem, 0.67), -(by_score + kl[0]), rtol=1e-3, atol=1e-3)


def test_its_bias_is_there_and_falls_with_the_temperature(tiny_config: Tiny) -> None:
    """Against the exact gradient of the logit: large when warm, a tenth when cold."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    exact = exact_logit_gradient(problem)
    biases = [((mean_logit_gradient(problem, t) - exact) / exact).abs().item() for t in (2.0, 0.67, 0.1)]
    assert biases[0] > biases[1] > biases[2]
    assert biases[1] > 0.02
    assert biases[2] < 0.1 * biases[0]


def test_its_variance_grows_as_it_cools(tiny_config: Tiny) -> None:
    """The price of a small bias."""
    problem = Problem.of(tiny_config("model.num_steps=1"))

    def variance(temperature: float) -> float:
        surrogate = lambda *both: concrete(temperature).given(*both, uniforms().logit())  # noqa: E731
        return logit_gradients(problem, surrogate, ROWS).var(0).item()

    assert variance(0.1) > 2 * variance(0.67)


def test_relaxed_terms_at_whole_objects_are_the_counts_own(tiny_config: Tiny) -> None:
    """For m = (1, .., 1, 0, .., 0) they are log p(x | canvas_n) - kl_n."""
    objects, terms = Problem.of(tiny_config(), batch=2).observe()
    for n in range(4):
        presence = (torch.arange(3) < n).double().expand(2, 3)
        torch.testing.assert_close(relaxed_terms(objects, terms, presence), (terms.log_likelihood - terms.kl)[:, n])


def test_relaxed_terms_are_the_likelihood_of_the_weighted_canvas(tiny_config: Tiny) -> None:
    """In between they are the Gaussian of sum_i m_i y_i, computed from its pixels."""
    objects, terms = Problem.of(tiny_config(), batch=2).observe()
    m = torch.tensor([[0.9, 0.5, 0.1], [0.3, 0.3, 0.2]], dtype=torch.float64)
    canvas = (m[:, :, None, None] * objects.pasted).sum(1)
    expected = torch.distributions.Normal(canvas, 0.3).log_prob(objects.canvas).sum((1, 2))
    expected = expected - (m * (objects.kl_where + objects.kl_what)).sum(1)
    torch.testing.assert_close(relaxed_terms(objects, terms, m), expected)


def test_at_temperature_zero_it_is_a_sampled_count(tiny_config: Tiny) -> None:
    """The loss has then the whole objects of n, the leading ones of logit + noise > 0."""
    objects, terms = Problem.of(tiny_config()).observe(50)
    noise = logistic(objects.logits, torch.Generator().manual_seed(0))
    counts = (objects.logits + noise > 0).long().cumprod(1).sum(1)
    count = (terms.log_q.exp() * (terms.log_p - terms.log_q)).sum(1)
    expected = -(at(terms.log_likelihood - terms.kl, counts) + count).mean()
    torch.testing.assert_close(concrete(1e-7).given(objects, terms, noise).loss, expected)
    assert set(counts.tolist()) == {0, 1, 2, 3}


def test_the_temperature_is_annealed_and_kept() -> None:
    """Exponentially from start to end over the calls in training mode, and a checkpoint knows how far it is."""
    temperature = Temperature(4.0, 1.0, 2).train()
    assert [temperature() for _ in range(4)] == pytest.approx([4.0, 2.0, 1.0, 1.0])
    other = Temperature(4.0, 1.0, 2)
    half = Temperature(4.0, 1.0, 2).train()
    half()
    other.load_state_dict(half.state_dict())
    assert [other.eval()(), other.eval()()] == pytest.approx([2.0, 2.0])


def test_a_fixed_temperature_leaves_nothing_to_keep() -> None:
    """With no annealing there is nothing in the checkpoint, and nothing to fit before it can be measured."""
    temperature = Temperature(4.0, 1.0, 0).train()
    assert (temperature(), temperature()) == (1.0, 1.0)
    assert temperature.state_dict() == {}


def test_logistic_noise_makes_bernoulli_decisions(tiny_config: Tiny) -> None:
    """logit + noise > 0 with probability sigmoid(logit), within 5 standard errors."""
    logits = torch.tensor([-2.0, 0.0, 1.0]).double().expand(20_000, 3)
    decided = (logits + logistic(logits, torch.Generator().manual_seed(0)) > 0).double()
    p = logits[0].sigmoid()
    assert ((decided.mean(0) - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt()).all()
