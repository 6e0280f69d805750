"""VIMCO climbs the importance-weighted bound, whose gradient is a finite sum as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, all_counts, copied, exact_gradient, gradient, mean
from torch import Tensor
from torch.distributions import Normal

from airctl.config import Config
from airctl.objectives import VIMCO
from airctl.objectives.importance import log_weights
from airctl.objectives.vimco import without_each

Tiny = Callable[..., Config]


def vimco(config: Config, copies: int) -> VIMCO:
    return VIMCO(copies)


def bound(problem: Problem, config: Config, copies: int) -> Tensor:
    """log 1/K sum_k w_k averaged over all outcomes of the counts with their probabilities, for one scene: []."""
    objects, terms = problem.observe()
    log_w, q = log_weights(objects, terms), terms.log_q.exp()
    total = torch.zeros((), dtype=torch.float64)
    for ns in all_counts(copies):
        weight = q.gather(1, ns[:, None]).prod()
        total = total + weight * (log_w.gather(1, ns[:, None]).logsumexp(0)[0] - torch.tensor(float(copies)).log())
    return total


def enumerated_mean(problem: Problem, config: Config, copies: int, estimator: VIMCO) -> Tensor:
    objects, terms = problem.observe()
    outcomes, q = all_counts(copies), terms.log_q.detach().exp()
    gradients = [gradient(estimator.given(objects, terms, ns).loss, problem.parameters) for ns in outcomes]
    return mean(torch.stack(gradients), torch.stack([q.gather(1, ns[:, None]).prod() for ns in outcomes]))


@pytest.mark.parametrize("copies", [2, 3])
def test_mean_gradient_is_that_of_its_own_bound(tiny_config: Tiny, copies: int) -> None:
    """Over all (N + 1)^K outcomes, in all parameters, to rounding."""
    config = tiny_config()
    problem = copied(Problem.of(config), copies)
    truth = -gradient(bound(problem, config, copies), problem.parameters)
    ours = enumerated_mean(problem, config, copies, vimco(config, copies))
    assert (ours - truth).norm() < 1e-8 * truth.norm()


def test_a_baseline_that_reads_its_own_weight_is_caught(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: replacing log w_k by the mean of all K, its own included, moves the mean gradient."""
    config = tiny_config()
    problem = copied(Problem.of(config), 2)
    truth = -gradient(bound(problem, config, 2), problem.parameters)
    monkeypatch.setattr("airctl.objectives.vimco.without_each", lambda log_w: log_w.mean(1, keepdim=True) + 0 * log_w)
    assert (enumerated_mean(problem, config, 2, vimco(config, 2)) - truth).norm() > 0.01 * truth.norm()


def test_the_bound_is_above_the_elbo_and_has_another_gradient(tiny_config: Tiny) -> None:
    """Averaged over noise L_2 lies above L_1, and against the exact ELBO's gradient it has the bias that it states."""
    config = tiny_config()
    problem = copied(Problem.of(config), 2)
    objects, terms = problem.observe()
    log_w, q = log_weights(objects, terms), terms.log_q.exp()
    assert bound(problem, config, 2) > (q * log_w).sum(1).mean()
    exact = exact_gradient(problem)
    assert (-gradient(bound(problem, config, 2), problem.parameters) - exact).norm() > 0.01 * exact.norm()


def test_log_weights_are_log_p_less_log_q(tiny_config: Tiny) -> None:
    """Term by term from the densities, for each count."""
    config = tiny_config()
    objects, terms = Problem.of(config, batch=2).observe()
    weights = log_weights(objects, terms)
    where = Normal(torch.tensor(config.prior.where_loc).double(), torch.tensor(config.prior.where_scale).double())
    for b in range(2):
        for n in range(4):
            expected = terms.log_likelihood[b, n] + terms.log_p[n] - terms.log_q[b, n]
            for i in range(n):
                expected = expected + where.log_prob(objects.z_where[b, i]).sum()
                expected = expected + Normal(0, 1).log_prob(objects.z_what[b, i]).sum()
                expected = expected - objects.q_where.log_prob(objects.z_where)[b, i].sum()
                expected = expected - objects.q_what.log_prob(objects.z_what)[b, i].sum()
            torch.testing.assert_close(weights[b, n], expected, rtol=1e-6, atol=1e-6)


def test_without_each_replaces_one_weight_by_the_others_mean(tiny_config: Tiny) -> None:
    """By hand for three weights; equal weights change nothing."""
    log_w = torch.tensor([[1.0, 2.0, 6.0]])
    by_hand = [[4.0, 2, 6], [1, 3.5, 6], [1, 2, 1.5]]
    torch.testing.assert_close(without_each(log_w)[0], torch.tensor(by_hand).logsumexp(1) - torch.tensor(3.0).log())
    torch.testing.assert_close(without_each(torch.full((2, 4), -7.0)), torch.full((2, 4), -7.0))


def test_scenes_do_not_mix(tiny_config: Tiny) -> None:
    """The loss of two scenes is the mean of their losses."""
    config = tiny_config()
    problem = copied(Problem.of(config, batch=2), 3)
    objects, terms = problem.observe()
    counts = torch.tensor([0, 1, 2, 3, 1, 1])
    together = vimco(config, 3).given(objects, terms, counts).loss
    alone = []
    for rows in (slice(0, 3), slice(3, 6)):
        part = Problem(
            problem.model,
            problem.canvas[rows],
            type(problem.noise)(problem.noise.where[rows], problem.noise.what[rows]),
            problem.log_p,
        )
        alone.append(vimco(config, 3).given(*part.observe(), counts[rows]).loss)
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_the_prior_is_the_models_own(tiny_config: Tiny) -> None:
    """Weights follow the prior of the model that made the objects: there is no second one to forget."""
    problem = Problem.of(tiny_config(), batch=2)
    before = log_weights(*problem.observe())
    problem.model.poses.where_loc += 1.0
    objects, terms = problem.observe()
    moved = log_weights(objects, terms)
    assert (moved - before)[:, 1:].abs().min() > 1e-3
    ratio = objects.p_where.log_prob(objects.z_where) - objects.q_where.log_prob(objects.z_where)
    ratio = ratio + objects.p_what.log_prob(objects.z_what) - objects.q_what.log_prob(objects.z_what)
    torch.testing.assert_close(moved[:, 1], (terms.log_likelihood + terms.log_p - terms.log_q)[:, 1] + ratio[:, 0])
    assert not list(vimco(tiny_config(), 2).modules.state_dict())
