"""The count prior and its annealing in closed form."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from airctl.config import Config, CountConfig, override
from airctl.model import COUNT_PRIORS, CountPrior, Geometric, truncated_geometric
from airctl.model.count_priors import Empirical


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


def made(kind: str, *settings: str) -> CountPrior:
    """The prior ``kind`` of a config with these settings, of four objects in training."""
    chosen = override(Config(), [f"count.kind={kind}", "model.num_steps=4", *settings])
    prior = COUNT_PRIORS[kind](chosen)
    if isinstance(prior, Empirical):
        with torch.no_grad():
            prior.logits.copy_(torch.tensor([0.3, 2.0, -1.0, 0.5, -4.0]))
    return prior


@pytest.mark.parametrize("anneal", ["linear", "exponential", "none"])
@pytest.mark.parametrize("kind", COUNT_PRIORS)
def test_every_prior_sums_to_one_at_every_step_and_ends_where_it_says(kind: str, anneal: str) -> None:
    """In float64, whatever the most objects; after the annealing it is the prior without a step, before it is not."""
    prior = made(kind, f"count.anneal={anneal}", "count.anneal_steps=10", "count.mean=2.5")
    for most in (1, 3, 4, 9):
        for step in (0, 1, 5, 9, 10, 400, None):
            log_p = prior(most, step)
            assert (log_p.shape, log_p.dtype) == ((most + 1,), torch.float64)
            assert log_p.detach().exp().sum().item() == pytest.approx(1.0, abs=1e-12)
        torch.testing.assert_close(prior(most, 10), prior(most), rtol=0, atol=0)
    assert prior.settled(10)
    if anneal != "none" and kind != "uniform":
        assert not prior.settled(9)
        assert (prior(4, 9) - prior(4)).abs().max() > 1e-3
        torch.testing.assert_close(prior(4, 0).exp(), torch.full((5,), 0.2).double())


@pytest.mark.parametrize("anneal", ["linear", "exponential"])
def test_half_way_from_uniform_is_the_mean_of_p_or_of_its_logarithm(anneal: str) -> None:
    """Linear in p, exponential in log p; the two are told apart."""
    prior = made("poisson", f"count.anneal={anneal}", "count.anneal_steps=10")
    p = prior(3).exp()
    linear, exponential = 0.5 * p + 0.125, p.sqrt() / p.sqrt().sum()
    expected, other = (linear, exponential) if anneal == "linear" else (exponential, linear)
    torch.testing.assert_close(prior(3, 5).exp(), expected)
    assert not torch.allclose(prior(3, 5).exp(), other, rtol=1e-3)


@pytest.mark.parametrize(("kind", "variance"), [("poisson", 2.5), ("negative-binomial", 2.5 + 2.5**2 / 0.7)])
def test_the_moments_are_the_known_ones_where_nothing_is_cut_off(kind: str, variance: float) -> None:
    """Truncated far out the mean is ``count.mean`` and the variance that of the family."""
    p, n = made(kind, "count.mean=2.5", "count.dispersion=0.7")(200).exp(), torch.arange(201).double()
    assert (p @ n).item() == pytest.approx(2.5, rel=1e-6)
    assert (p @ (n - 2.5) ** 2).item() == pytest.approx(variance, rel=1e-6)


def test_a_negative_binomial_is_geometric_at_one_and_poisson_at_the_far_end() -> None:
    """r = 1: p(n + 1) / p(n) = m / (1 + m); r to infinity: Poisson; in between it is neither."""
    geometric = truncated_geometric(2 / 3, 6)
    torch.testing.assert_close(made("negative-binomial", "count.mean=2")(6), geometric)
    poisson = made("poisson", "count.mean=2")(6)
    torch.testing.assert_close(
        made("negative-binomial", "count.mean=2", "count.dispersion=1e8")(6), poisson, rtol=1e-6, atol=1e-6
    )
    between = made("negative-binomial", "count.mean=2", "count.dispersion=3")(6)
    assert min((between - geometric).abs().max(), (between - poisson).abs().max()) > 0.1


def test_the_empirical_prior_climbs_to_the_mean_posterior() -> None:
    """The fixed point of its gradient is the M-step: p(n) = the mean of q(n | x) over the scenes, exactly there."""
    prior = COUNT_PRIORS["empirical"](override(Config(), ["count.kind=empirical"]))
    torch.testing.assert_close(prior(3).exp(), torch.full((4,), 0.25).double(), rtol=0, atol=1e-7)
    q = torch.rand(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).pow(3)
    q = q / q.sum(1, keepdim=True)
    optimiser = torch.optim.SGD(prior.parameters(), 1.0)
    for _ in range(300):
        optimiser.zero_grad()
        (-(q @ prior(3)).mean()).backward()
        optimiser.step()
    torch.testing.assert_close(prior(3).detach().exp(), q.mean(0), rtol=1e-4, atol=1e-5)


def test_counts_that_were_never_trained_go_on_from_the_last() -> None:
    """Above M each object more costs log count.probability; below, the first M + 1 logits are what they were."""
    prior = made("empirical", "count.probability=0.1")
    log_p = prior(7).detach()
    torch.testing.assert_close(log_p[4:].diff(), torch.full((3,), math.log(0.1)).double())
    torch.testing.assert_close(log_p[:5].diff(), prior(4).detach().diff())
