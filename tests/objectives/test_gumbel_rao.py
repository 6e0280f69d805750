"""Gumbel-Rao: straight-through's mean, and its bias, with the noise averaged out that decides nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, logit_gradients, within
from test_on_subsets import problem
from torch import Tensor

from airctl.config import Config
from airctl.objectives import GumbelRao, StraightThrough, Temperature
from airctl.objectives.concrete import logistic

Tiny = Callable[..., Config]
ROWS = 2000


def at(temperature: float = 0.67) -> Temperature:
    return Temperature(temperature, temperature, 0)


def midpoints(number: int) -> Tensor:
    return (((torch.arange(number, dtype=torch.float64) + 0.5) / number).logit())[:, None]


def averaged(tiny: Problem, noise: Tensor, others: Tensor) -> Tensor:
    """The gradients in the logits for each row, [R, M]."""
    chosen = GumbelRao(at(), len(others))
    return logit_gradients(tiny, lambda *both: chosen.averaged(*both, noise, others), len(noise))


def straight(tiny: Problem, noise: Tensor) -> Tensor:
    chosen = StraightThrough(at())
    return logit_gradients(tiny, lambda *both: chosen.given(*both, noise), len(noise))


def test_its_mean_is_that_of_straight_through(tiny_config: Tiny) -> None:
    """One step, both integrated over their noise, that of the copies too."""
    tiny = Problem.of(tiny_config("model.num_steps=1", "network.present_bias=2.0"))
    noise = midpoints(ROWS)
    mean = averaged(tiny, noise, midpoints(400)[:, None].expand(-1, ROWS, -1)).mean(0)
    torch.testing.assert_close(mean, straight(tiny, noise).mean(0), rtol=2e-3, atol=0)


def test_copies_that_do_not_keep_the_decisions_are_caught(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: noise that is not conditioned on b is independent of the likelihood's slope at b."""
    tiny = Problem.of(tiny_config("model.num_steps=1", "network.present_bias=2.0"))
    noise = midpoints(ROWS)
    monkeypatch.setattr("airctl.objectives.gumbel_rao.given_decisions", lambda b, logits, other: logits + other)
    wrong = averaged(tiny, noise, midpoints(400)[:, None].expand(-1, ROWS, -1)).mean(0)
    right = straight(tiny, noise).mean(0)
    assert ((wrong - right) / right).abs() > 0.02


def test_its_variance_falls_with_the_copies_to_that_of_the_decisions(tiny_config: Tiny) -> None:
    """One copy is straight-through itself in distribution; J of them leave 1/J of what the decisions do not explain."""
    tiny = Problem.of(tiny_config())
    generator = torch.Generator().manual_seed(1)
    like = torch.zeros(ROWS, 3, dtype=torch.float64)
    noise = logistic(like, generator)
    variance = {
        copies: averaged(tiny, noise, logistic(like.expand(copies, -1, -1), generator)).var(0).sum().item()
        for copies in (1, 4, 64)
    }
    plain = straight(tiny, noise).var(0).sum().item()
    assert abs(variance[1] / plain - 1) < 0.15
    assert variance[64] < variance[4] < 0.95 * variance[1]
    left = variance[64]
    assert abs((variance[4] - left) / (variance[1] - left) - 0.25) < 0.1


def test_on_subsets_its_mean_is_that_of_straight_through() -> None:
    """Three proposals, 500 draws: the difference of the two is within five standard errors of nothing."""
    _, objects, terms = problem()
    generator = torch.Generator().manual_seed(0)
    rao, plain = GumbelRao(at(), 8), StraightThrough(at())
    found = []
    for _ in range(500):
        noise = logistic(objects.logits, generator)
        others = logistic(objects.logits.expand(8, -1, -1), generator)
        losses = (rao.averaged(objects, terms, noise, others).loss, plain.given(objects, terms, noise).loss)
        grads = [torch.autograd.grad(loss, objects.logits, retain_graph=True)[0][0] for loss in losses]
        found.append(torch.stack(grads))
    both = torch.stack(found)  # [R, 2, M]
    assert within(both[:, 0] - both[:, 1], torch.zeros(3).double())
    assert (both[:, 0].var(0).sum() < 0.95 * both[:, 1].var(0).sum()).item()
