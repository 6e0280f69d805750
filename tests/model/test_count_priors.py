"""The count prior and its annealing in closed form."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from airctl.config import CountConfig
from airctl.model import Geometric, truncated_geometric


@pytest.mark.parametrize("num_steps", [1, 3, 9])
@pytest.mark.parametrize("continuing", [1e-30, 1e-7, 0.01, 0.5, 1.0])
def test_truncated_geometric_sums_to_one_and_each_object_costs_the_same(continuing: float, num_steps: int) -> None:
    """p(n) sums to one over 0..N and p(n + 1) / p(n) is ``continuing`` throughout, the last count included."""
    log_p = truncated_geometric(continuing, num_steps)
    assert log_p.shape == (num_steps + 1,)
    assert log_p.dtype == torch.float64
    assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    expected = torch.full((num_steps,), math.log(continuing), dtype=torch.float64)
    torch.testing.assert_close(log_p.diff(), expected, rtol=1e-12, atol=1e-12)


def test_a_plain_geometric_is_not_the_truncated_one() -> None:
    """Negative control: (1 - c) c^n without its missing tail does not sum to one at c = 0.5, N = 3."""
    plain = torch.tensor([0.5 ** (n + 1) for n in range(4)], dtype=torch.float64)
    assert plain.sum().item() == pytest.approx(15 / 16)
    assert not torch.allclose(truncated_geometric(0.5, 3).exp(), plain, rtol=1e-3)


def test_continuing_one_is_uniform() -> None:
    """continuing = 1 prefers no count."""
    torch.testing.assert_close(truncated_geometric(1.0, 3).exp(), torch.full((4,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("anneal", ["linear", "exponential"])
def test_annealing_goes_from_start_to_end_and_never_back(anneal: str) -> None:
    """It begins at start, falls strictly, ends at probability and stays there."""
    prior = CountConfig(probability=1e-5, start=0.9, anneal=anneal, anneal_steps=100)
    values = [Geometric(prior).at(step) for step in range(103)]
    assert values[0] == pytest.approx(0.9, rel=1e-12)
    assert all(later < earlier for earlier, later in pairwise(values[:101]))
    assert values[100:] == [1e-5] * 3
    assert values[99] > 1e-5


def test_half_way_is_the_arithmetic_or_the_geometric_mean() -> None:
    """Linear annealing is linear in the probability, exponential in its logarithm; the two are told apart."""
    linear = CountConfig(probability=1e-4, start=1.0, anneal="linear", anneal_steps=10)
    exponential = CountConfig(probability=1e-4, start=1.0, anneal="exponential", anneal_steps=10)
    assert Geometric(linear).at(5) == pytest.approx((1 + 1e-4) / 2)
    assert Geometric(exponential).at(5) == pytest.approx(1e-2)


def test_without_annealing_the_count_prior_is_fixed() -> None:
    """anneal = none ignores the start and the steps."""
    prior = CountConfig(probability=0.01, start=1.0, anneal="none", anneal_steps=50)
    assert {Geometric(prior).at(step) for step in (0, 1, 49, 50, 1000)} == {0.01}


def test_annealing_over_no_steps_is_the_end_at_once() -> None:
    """Zero annealing steps divide by nothing."""
    prior = CountConfig(probability=0.01, anneal="exponential", anneal_steps=0)
    assert Geometric(prior).at(0) == 0.01


def test_the_module_gives_the_annealed_prior_at_a_step_and_the_settled_one_without() -> None:
    """log p(n) follows ``at``; ``settled`` says from when on it stands still."""
    prior = Geometric(CountConfig(probability=1e-4, start=1.0, anneal="exponential", anneal_steps=10))
    torch.testing.assert_close(prior(3, 5), truncated_geometric(1e-2, 3))
    torch.testing.assert_close(prior(3), truncated_geometric(1e-4, 3))
    assert not prior.settled(9)
    assert prior.settled(10)
