"""Terms against the definitions, computed naively."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from laws import Problem, exact_gradient
from torch.distributions import Normal

from airctl.config import Config
from airctl.model import DenseLayers, Gaussian, truncated_geometric
from airctl.objectives import Terms, terms_of

Tiny = Callable[..., Config]


@pytest.fixture(params=["raw", "conv"])
def problem(request: pytest.FixtureRequest, tiny_config: Tiny) -> Problem:
    return Problem.of(tiny_config(f"network.embedding={request.param}"), batch=3)


def test_the_probabilities_of_the_counts_sum_to_one(problem: Problem) -> None:
    """sum_n q(n) = 1 for every scene, and q uses every count."""
    terms = problem.observe()[1]
    assert terms.log_q.shape == (3, 4)
    torch.testing.assert_close(terms.log_q.exp().sum(1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert terms.log_q.exp().min() > 0.02


def test_log_q_is_the_product_formula(problem: Problem) -> None:
    """q(n) = (1 - p_{n+1}) prod_{i <= n} p_i, and prod_i p_i for n = N; shifted by one it is something else."""
    objects, terms = problem.observe()
    p = objects.logits.sigmoid()
    for b, n in product(range(3), range(4)):
        stop = 1.0 if n == 3 else 1 - p[b, n]
        torch.testing.assert_close(terms.log_q[b, n].exp(), p[b, :n].prod() * stop, rtol=1e-12, atol=0)
    shifted = p[:, 1:].prod(1) * (1 - p[:, 0])
    assert (terms.log_q[:, 2].exp() - shifted).abs().min() > 1e-7


def test_log_q_stays_finite_where_the_product_underflows(problem: Problem) -> None:
    """At logits of +-800 the probabilities are 0 and 1 in float64, and log q is still a number with a gradient."""
    objects = problem.observe()[0]
    logits = torch.tensor([[800.0, 800, 800], [-800, -800, -800], [800, -800, 800]], dtype=torch.float64)
    certain = type(objects)(**{**vars(objects), "logits": logits.requires_grad_()})
    terms = terms_of(certain, problem.log_p, Gaussian(0.3))
    assert terms.log_q.isfinite().all()
    assert terms.elbo.isfinite().all()
    assert torch.autograd.grad(terms.elbo.sum(), logits)[0].isfinite().all()
    assert terms.log_q[0].argmax() == 3
    assert terms.log_q[1].argmax() == 0
    assert terms.log_q[2].argmax() == 1


def test_log_likelihood_is_a_sum_of_normal_log_densities(problem: Problem) -> None:
    """log p(x | canvas_n) = sum over the pixels of log N(x; canvas_n, sd), normaliser included."""
    objects = problem.observe()[0]
    for sd in (0.3, 1.7):
        terms = terms_of(objects, problem.log_p, Gaussian(sd))
        expected = Normal(objects.canvases, sd).log_prob(objects.canvas[:, None]).sum((2, 3))
        torch.testing.assert_close(terms.log_likelihood, expected, rtol=1e-12, atol=1e-9)
    assert not torch.allclose(terms.log_likelihood, problem.observe()[1].log_likelihood, rtol=0.1)


def test_perfect_reconstruction_has_the_landmark_of_the_literature(problem: Problem) -> None:
    """A 50x50 scene drawn without error is worth 2500 * -log(0.3 sqrt(2 pi)) = 712.6 nats at sd 0.3."""
    objects = problem.observe()[0]
    layers = DenseLayers(torch.zeros(3, 3, 50, 50))
    blank = type(objects)(**{**vars(objects), "canvas": torch.zeros(3, 50, 50), "layers": layers})
    torch.testing.assert_close(
        terms_of(blank, problem.log_p, Gaussian(0.3)).log_likelihood, torch.full((3, 4), 712.6), rtol=0, atol=0.05
    )


def test_kl_and_log_p_count_the_first_n_steps(problem: Problem) -> None:
    """kl_n is the KL of z_where and z_what summed over the first n steps: nothing for n = 0."""
    objects, terms = problem.observe()
    for n in range(4):
        expected = objects.kl_where[:, :n].sum(1) + objects.kl_what[:, :n].sum(1)
        torch.testing.assert_close(terms.kl[:, n], expected)
    assert (terms.kl.diff(dim=1) > 0).all()
    torch.testing.assert_close(terms.log_p, truncated_geometric(0.01, 3))


def brute_force_elbo(problem: Problem, keep: Callable[[tuple[int, ...]], int]) -> torch.Tensor:
    """Sum over all 2^N patterns of z_pres, ``keep`` saying how many objects a pattern has, [B]."""
    objects = problem.observe()[0]
    p = objects.logits.sigmoid()
    total = torch.zeros(3, dtype=torch.float64)
    for bits in product((0, 1), repeat=3):
        z = torch.tensor(bits, dtype=torch.float64)
        weight = (p * z + (1 - p) * (1 - z)).prod(1)
        n = keep(bits)
        q = p[:, :n].prod(1) * (1.0 if n == 3 else 1 - p[:, n])
        likelihood = Normal(objects.canvases[:, n], 0.3).log_prob(objects.canvas).sum((1, 2))
        kl = (objects.kl_where + objects.kl_what)[:, :n].sum(1)
        total = total + weight * (likelihood - kl + problem.log_p[n] - q.log())
    return total


def test_elbo_is_the_sum_over_all_patterns_of_z_pres(problem: Problem) -> None:
    """Summing over counts is summing over all 2^N patterns, in which whatever follows the first 0 changes nothing."""
    leading_ones = [sum(bits[:i].count(1) == i for i in (1, 2, 3)) for bits in product((0, 1), repeat=3)]
    assert leading_ones == [0, 0, 0, 0, 1, 1, 2, 3]
    elbo = problem.observe()[1].elbo
    expected = brute_force_elbo(problem, lambda bits: sum(bits[:i].count(1) == i for i in (1, 2, 3)))
    torch.testing.assert_close(elbo, expected, rtol=1e-12, atol=1e-9)
    assert (elbo - brute_force_elbo(problem, sum)).abs().min() > 0.1, "counting all ones is another model"


def test_elbo_is_largest_where_q_is_the_posterior(problem: Problem) -> None:
    """In n the ELBO is a bound: its maximum over q(n) is log sum_n p(n) exp(log p(x | n) - kl_n), at one q alone."""
    terms = problem.observe()[1]
    evidence = (terms.log_likelihood - terms.kl + terms.log_p).logsumexp(1)
    assert (terms.elbo < evidence).all()
    log_q = (terms.log_likelihood - terms.kl + terms.log_p).log_softmax(1)
    best = Terms(**{**vars_of(terms), "log_q": log_q})
    torch.testing.assert_close(best.elbo, evidence)


def vars_of(terms: Terms) -> dict[str, torch.Tensor]:
    return {name: getattr(terms, name) for name in Terms.__dataclass_fields__}


def test_exact_is_the_slope_of_the_elbo(problem: Problem) -> None:
    """Along random directions of all parameters, central differences of the ELBO give Exact's gradient."""
    gradient = exact_gradient(problem)
    generator = torch.Generator().manual_seed(11)
    before = torch.nn.utils.parameters_to_vector(problem.parameters).detach()
    for _ in range(5):
        direction = torch.randn(len(before), generator=generator, dtype=torch.float64)
        elbos = []
        with torch.no_grad():
            for step in (1e-6, -1e-6):
                torch.nn.utils.vector_to_parameters(before + step * direction, problem.parameters)
                elbos.append(problem.observe()[1].elbo.mean())
            torch.nn.utils.vector_to_parameters(before, problem.parameters)
        slope = -(elbos[0] - elbos[1]) / 2e-6
        assert slope.item() == pytest.approx((gradient @ direction).item(), rel=1e-5, abs=1e-5)


def test_detached_terms_teach_nothing_not_even_a_learnt_count_prior(problem: Problem) -> None:
    """Every tensor is a constant, log p(n) included; before, all of them could be learnt from."""
    objects, _ = problem.observe()
    log_count = torch.zeros(4, dtype=torch.float64, requires_grad=True).log_softmax(0)
    terms = terms_of(objects, log_count, problem.model.likelihood)
    assert terms.elbo.requires_grad
    assert terms.log_p.requires_grad
    held = terms.detached()
    tensors = {name: value for name, value in vars_of(held).items() if isinstance(value, torch.Tensor)}
    assert {"log_p", "log_likelihood", "kl", "log_q", "log_present", "log_absent"} <= set(tensors)
    assert not any(value.requires_grad for value in tensors.values())
    torch.testing.assert_close(held.elbo, terms.elbo.detach())
