"""The defensive mixture: exact when its share is 0, biased while it is not, and exact again when training ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, exact_gradient, gradient

from airctl.config import Config
from airctl.objectives import Defensive, Share

Tiny = Callable[..., Config]


def defensive_gradient(problem: Problem, share: Share) -> torch.Tensor:
    objects, terms = problem.observe()
    return gradient(Defensive(share)(objects, terms, torch.Generator()).loss, problem.parameters)


def test_a_share_of_zero_is_exact(tiny_config: Tiny) -> None:
    """All parameters, to rounding; and a share of 0.5 is caught."""
    problem = Problem.of(tiny_config(), batch=3)
    torch.testing.assert_close(defensive_gradient(problem, Share(0.0, 10)), exact_gradient(problem))
    biased = defensive_gradient(problem, Share(0.5, 10)) - exact_gradient(problem)
    assert biased.norm() > 0.01 * exact_gradient(problem).norm()


def test_the_gradient_of_q_is_exact_whatever_the_share(tiny_config: Tiny) -> None:
    """In the logits of z_pres, where the objects are not taught."""
    problem = Problem.of(tiny_config(), batch=3)
    objects, terms = problem.observe()
    found = gradient(Defensive(Share(1.0, 10))(objects, terms, torch.Generator()).loss, [objects.logits])
    torch.testing.assert_close(found, gradient(-terms.elbo.mean(), [objects.logits]))


def test_objects_of_a_count_that_q_has_given_up_are_taught(tiny_config: Tiny) -> None:
    """With q(3) of almost 0 the third object has almost no gradient under exact, and one under a share of 0.4."""
    problem = Problem.of(tiny_config("network.present_bias=-30.0"))
    objects, terms = problem.observe()
    exact, found = (
        gradient(Defensive(Share(share, 10))(objects, terms, torch.Generator()).loss, [objects.pasted])
        .view_as(objects.pasted)[:, 2]
        .norm()
        for share in (0.0, 0.4)
    )
    assert exact < 1e-9 < 1e-3 < found


def test_the_share_falls_to_zero_and_is_kept() -> None:
    """Linearly over the calls in training mode; a checkpoint knows how far it is; measuring does not move it."""
    share = Share(0.4, 4).train()
    assert [share() for _ in range(6)] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])
    other = Share(0.4, 4)
    half = Share(0.4, 4).train()
    half(), half()
    other.load_state_dict(half.state_dict())
    assert [other.eval()(), other.eval()()] == pytest.approx([0.2, 0.2])
