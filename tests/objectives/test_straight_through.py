"""Straight-through Gumbel: the loss of a sampled count, the gradient that it states, and a bias that shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, exact_logit_gradient, gradient, logit_gradients
from torch import Tensor

from airctl.config import Config
from airctl.objectives import Concrete, StraightThrough, Temperature
from airctl.objectives.concrete import logistic, relaxed_terms
from airctl.objectives.terms import at

Tiny = Callable[..., Config]


def built(temperature: float = 0.67) -> StraightThrough:
    return StraightThrough(Temperature(temperature, temperature, 0))


def noise_for(rows: int) -> Tensor:
    return logistic(torch.zeros(rows, 3).double(), torch.Generator().manual_seed(0))


def test_the_loss_is_that_of_a_sampled_count(tiny_config: Tiny) -> None:
    """Whole objects at any temperature, where Concrete has halves; the objects are taught by that count alone."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe(50)
    noise = noise_for(50)
    counts = (objects.logits + noise > 0).long().cumprod(1).sum(1)
    count = (terms.log_q.exp() * (terms.log_p - terms.log_q)).sum(1)
    expected = -(at(terms.log_likelihood - terms.kl, counts) + count).mean()
    loss = built().given(objects, terms, noise).loss
    torch.testing.assert_close(loss, expected)
    decoder = list(problem.model.decoder.parameters())
    torch.testing.assert_close(gradient(loss, decoder), gradient(expected, decoder))
    halves = Concrete(Temperature(0.67, 0.67, 0)).given(objects, terms, noise).loss
    assert (halves - expected).abs() > 1e-3, "negative control: the relaxation's own loss is another"


def test_the_gradient_of_the_decisions_is_the_one_it_states(tiny_config: Tiny) -> None:
    """d relaxed / d b at whole objects times d soft / d logit, and the KL of the count; b's own slope would be 0."""
    problem = Problem.of(tiny_config())
    noise = noise_for(40)
    found = logit_gradients(problem, lambda *both: built().given(*both, noise), 40)
    objects, terms = problem.observe(40)
    decided = (objects.logits + noise).detach()
    bits = (decided > 0).double().requires_grad_()
    slope = torch.autograd.grad(relaxed_terms(objects, terms, terms.code.presence(bits)).sum(), bits)[0]
    soft = (decided / 0.67).sigmoid()
    count = (terms.log_q.exp() * (terms.log_p - terms.log_q)).sum()
    expected = slope * soft * (1 - soft) / 0.67 + gradient(count, [objects.logits]).unflatten(0, bits.shape)
    torch.testing.assert_close(found, -expected)
    assert slope.abs().max() > 1


def test_its_bias_is_there_at_any_temperature(tiny_config: Tiny) -> None:
    """One step, integrated over the noise: unlike Concrete's it does not fall as it cools."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    exact = exact_logit_gradient(problem)
    noise = ((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000).logit()[:, None]
    off = {}
    for kind in (StraightThrough, Concrete):
        for t in (0.67, 0.1):
            chosen = kind(Temperature(t, t, 0))
            mean = logit_gradients(problem, lambda *both: chosen.given(*both, noise), 4000).mean(0)  # noqa: B023
            off[kind, t] = ((mean - exact) / exact).abs().item()
    assert off[StraightThrough, 0.67] > 0.02
    assert off[StraightThrough, 0.1] > 0.02
    assert off[Concrete, 0.1] < off[StraightThrough, 0.1]


@pytest.mark.parametrize("steps", [1, 3])
def test_without_the_soft_part_nothing_would_be_taught(tiny_config: Tiny, steps: int) -> None:
    """Negative control: of whole decisions alone the logits learn only the KL of the count."""
    problem = Problem.of(tiny_config(f"model.num_steps={steps}"))
    objects, terms = problem.observe()
    bits = (objects.logits > 0).double()
    relaxed = relaxed_terms(objects, terms, terms.code.presence(bits)).sum()
    assert not gradient(relaxed, list(problem.model.network.present.parameters())).any()
