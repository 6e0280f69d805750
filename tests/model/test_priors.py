"""The count prior and its annealing in closed form."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from airctl.config import PriorConfig
from airctl.model import continuing_at, truncated_geometric
from airctl.model.priors import LatentPrior


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
    """It begins at count_start, falls strictly, ends at count and stays there."""
    prior = PriorConfig(count=1e-5, count_start=0.9, count_anneal=anneal, count_anneal_steps=100)
    values = [continuing_at(step, prior) for step in range(103)]
    assert values[0] == pytest.approx(0.9, rel=1e-12)
    assert all(later < earlier for earlier, later in pairwise(values[:101]))
    assert values[100:] == [1e-5] * 3
    assert values[99] > 1e-5


def test_half_way_is_the_arithmetic_or_the_geometric_mean() -> None:
    """Linear annealing is linear in the probability, exponential in its logarithm; the two are told apart."""
    linear = PriorConfig(count=1e-4, count_start=1.0, count_anneal="linear", count_anneal_steps=10)
    exponential = PriorConfig(count=1e-4, count_start=1.0, count_anneal="exponential", count_anneal_steps=10)
    assert continuing_at(5, linear) == pytest.approx((1 + 1e-4) / 2)
    assert continuing_at(5, exponential) == pytest.approx(1e-2)


def test_without_annealing_the_count_prior_is_fixed() -> None:
    """count_anneal = none ignores the start and the steps."""
    prior = PriorConfig(count=0.01, count_start=1.0, count_anneal="none", count_anneal_steps=50)
    assert {continuing_at(step, prior) for step in (0, 1, 49, 50, 1000)} == {0.01}


def test_annealing_over_no_steps_is_the_end_at_once() -> None:
    """Zero annealing steps divide by nothing."""
    prior = PriorConfig(count=0.01, count_anneal="exponential", count_anneal_steps=0)
    assert continuing_at(0, prior) == 0.01


def test_latent_priors_are_those_of_the_config() -> None:
    """p(z_where) has the config's mean and standard deviations, p(z_what) is standard normal."""
    prior = LatentPrior(PriorConfig(where_loc=(3.0, 0.5, -0.5), where_scale=(0.1, 1.0, 2.0)))
    torch.testing.assert_close(prior.where.loc, torch.tensor([3.0, 0.5, -0.5]))
    torch.testing.assert_close(prior.where.scale, torch.tensor([0.1, 1.0, 2.0]))
    what = prior.what(torch.full((2, 3), 7.0))
    torch.testing.assert_close(what.log_prob(torch.zeros(2, 3)), torch.full((2, 3), -0.5 * math.log(2 * math.pi)))
    assert not prior.state_dict(), "the prior is config, not weights"
