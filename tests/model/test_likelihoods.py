"""Each likelihood is normalised over its support, and its gradient that of finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from airctl.config import Config, override
from airctl.errors import ConfigError
from airctl.model import DenseLayers, Subsets, Unary
from airctl.model.likelihoods import LIKELIHOODS, Gaussian, LearntGaussian, Likelihood, OptimalGaussian, inside

MEANS = torch.tensor([0.0, 0.02, 0.3, 0.5, 0.77, 0.93, 1.0, 1.6, 3.1]).double()
LEVELS = torch.arange(256).double() / 255
BOUNDED = ("bernoulli", "continuous-bernoulli")
GAUSSIANS = ("gaussian", "gaussian-learnt", "gaussian-optimal")


def made(kind: str, sd: float = 0.3) -> Likelihood:
    return LIKELIHOODS[kind](override(Config(), [f"likelihood.sd={sd}"])).double()


def integral(kind: str, mean: Tensor, sd: float) -> Tensor:
    """The total mass of a pixel for each of ``mean``, by the support of its kind."""
    likelihood = made(kind, sd)
    if kind == "bernoulli":
        x = torch.tensor([0.0, 1.0]).double()
    elif kind == "discretised-logistic":
        x = LEVELS
    else:
        low, high = (0.0, 1.0) if kind in BOUNDED else (-14.0, 18.0)
        x = torch.linspace(low, high, 320_001).double()
    p = likelihood(mean[:, None].expand(-1, len(x))).log_prob(x.expand(len(mean), -1)).exp()
    return p.sum(1) if len(x) <= 256 else torch.trapezoid(p, x, dim=1)


@pytest.mark.parametrize("sd", [0.05, 0.3])
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_it_is_normalised_over_its_support(kind: str, sd: float) -> None:
    """Pixels 0 and 1, the 256 levels, [0, 1] or all numbers: the mass is 1, for means above 1 as well."""
    torch.testing.assert_close(integral(kind, MEANS, sd), torch.ones(len(MEANS)).double(), rtol=1e-5, atol=0)


def test_a_cross_entropy_is_no_density_of_grey_pixels() -> None:
    """Negative control: the Bernoulli's values over [0, 1] do not integrate to 1, nor over the levels sum to it."""
    x = torch.linspace(0, 1, 10_001).double()
    p = made("bernoulli")(torch.full_like(x, 0.3)).log_prob(x).exp()
    assert torch.trapezoid(p, x).item() < 0.6


@pytest.mark.parametrize("sd", [0.05, 0.3])
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_the_256_levels_have_all_the_mass(kind: str, sd: float) -> None:
    """P(level | mean) sums to 1, so that bits per dimension of one kind can be held against another's."""
    levels = made(kind, sd).log_level(LEVELS.expand(len(MEANS), -1), MEANS[:, None].expand(-1, 256))
    torch.testing.assert_close(levels.exp().sum(1), torch.ones(len(MEANS)).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["gaussian", "laplace", "continuous-bernoulli"])
def test_a_level_within_has_about_its_density(kind: str) -> None:
    """Away from 0 and 1 the mass of a level is the density times 1 / 255, but at 0 it is not: the tail is there."""
    likelihood, mean = made(kind), torch.full((256,), 0.31).double()
    plain = Likelihood.log_level(likelihood, LEVELS, mean)
    exact = likelihood.log_level(LEVELS, mean)
    torch.testing.assert_close(exact[1:-1], plain[1:-1], rtol=0, atol=1e-2)
    assert (exact - plain)[0].abs() > 0.5


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_far_tails_are_finite_and_exact(kind: str) -> None:
    """A white pixel where nothing is drawn, thirty standard deviations off, in float32 too, with a finite gradient."""
    for dtype, rtol in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        likelihood = made(kind, 1 / 30).to(dtype)
        mean = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 2.0], dtype=dtype, requires_grad=True)
        x = torch.tensor([1.0, 100 / 255, 0.0, 0.0, 1.0, 1.0], dtype=dtype)
        levels = likelihood.log_level(x, mean)
        assert levels.isfinite().all()
        assert torch.autograd.grad(levels.sum(), mean)[0].isfinite().all()
        expected = made(kind, 1 / 30).log_level(x.double(), mean.detach().double())
        torch.testing.assert_close(levels.detach().double(), expected, rtol=rtol, atol=1e-4)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    """d log p(x | mean) / d mean, at means inside, on the bend and above 1."""
    likelihood = made(kind).eval()
    x = torch.tensor([0, 1, 51, 130, 200, 255, 255, 255, 40]).double()[None] / 255
    mean = MEANS[None].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: likelihood.log_prob(x, m), mean, eps=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(lambda m: likelihood.log_level(x, m), mean, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("code", [Unary(4), Subsets(4)])
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_all_codewords_are_those_of_their_canvases(kind: str, code: Unary | Subsets) -> None:
    """Also where the cheaper way of squared errors is taken."""
    generator = torch.Generator().manual_seed(0)
    canvas = torch.randint(0, 256, (3, 7, 5), generator=generator).double() / 255
    layers = DenseLayers(torch.rand(3, 4, 7, 5, generator=generator).double())
    likelihood = made(kind).eval()
    canvases = code.canvases(layers)
    each = [likelihood(canvases[:, k]).log_prob(canvas).sum((1, 2)) for k in range(canvases.shape[1])]
    torch.testing.assert_close(likelihood.codewords(canvas, layers, code), torch.stack(each, 1))


@pytest.mark.parametrize("kind", [kind for kind in LIKELIHOODS if kind not in GAUSSIANS])
def test_subsets_that_need_a_canvas_each_are_six_proposals_at_most(kind: str) -> None:
    """Seven proposals are refused with the reason; a likelihood with a Gram matrix takes them."""
    canvas, layers = torch.zeros(1, 4, 4).double(), DenseLayers(torch.zeros(1, 7, 4, 4).double())
    with pytest.raises(ConfigError, match=r"128 subsets of 7 proposals: expected at most 6 .* or a gaussian"):
        made(kind).codewords(canvas, layers, Subsets(7))
    assert made("gaussian-learnt").codewords(canvas, layers, Subsets(7)).shape == (1, 128)


def test_the_link_is_the_identity_then_bends_below_one() -> None:
    """Rising throughout, smooth at 0.9, inside (0, 1) whatever is summed, with a gradient above 1."""
    mean = torch.linspace(0, 3, 3001).double().requires_grad_()
    p = inside(mean)
    slope = torch.autograd.grad(p.sum(), mean)[0]
    assert (p > 0).all()
    assert (p < 1).all()
    assert (slope > 0).all()
    torch.testing.assert_close(p[:900], 0.001 + 0.998 * mean[:900])
    assert slope.diff().abs().max() < 0.011, "no kink"
    assert inside(torch.tensor(2.0).double()) > 0.998


def test_a_learnt_sd_ends_where_the_error_is() -> None:
    """Climbing log p brings sd to the root of the mean squared error, its closed-form maximum; it starts at sd."""
    likelihood = LearntGaussian(0.3).double()
    assert likelihood.sd == pytest.approx(0.3, abs=0.003)
    x = 0.1 * torch.randn(1, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    optimiser = torch.optim.Adam(likelihood.parameters(), 0.05)
    for _ in range(300):
        optimiser.zero_grad()
        (-likelihood.log_prob(x, torch.zeros_like(x)).mean() / x.numel()).backward()
        optimiser.step()
    assert likelihood.sd == pytest.approx(x.square().mean().sqrt().item(), rel=1e-3)
    assert likelihood.log_prob(x, torch.zeros_like(x)).item() == pytest.approx(
        Gaussian(likelihood.sd).log_prob(x, torch.zeros_like(x)).item()
    )


def test_the_optimal_sd_is_the_error_of_the_codeword_that_fits() -> None:
    """It nears the error of the right codeword, not the mean over all; without gradients or in eval mode it stays."""
    likelihood, code = OptimalGaussian(0.3).double(), Unary(2)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(8, 2, 20, 20, generator=generator).double()
    canvas = drawn[:, 0] + 0.05 * torch.randn(8, 20, 20, generator=generator, dtype=torch.float64)
    layers = DenseLayers(drawn)
    with torch.no_grad():
        likelihood.codewords(canvas, layers, code)
    likelihood.eval().codewords(canvas, layers, code)
    assert likelihood.sd == pytest.approx(0.3)
    likelihood.train()
    for _ in range(1500):
        likelihood.codewords(canvas, layers, code)
    right = (canvas - drawn[:, 0]).square().mean().sqrt().item()
    assert likelihood.sd == pytest.approx(right, rel=1e-3)
    assert likelihood.sd < 0.2 * code.squares(canvas, layers).mean().div(400).sqrt()
    again = OptimalGaussian(0.3).double()
    again.load_state_dict(likelihood.state_dict())
    assert again.sd == likelihood.sd, "it is in the checkpoint"


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_bits_per_dimension_are_eight_for_a_flat_guess_and_fewer_for_a_good_one(kind: str) -> None:
    """log2 256 = 8 if all levels were as probable; a black scene with a black mean costs less than with a grey one."""
    likelihood, black = made(kind), torch.zeros(1, 6, 6).double()
    good, bad = (float(likelihood.bits_per_dimension(black, mean)) for mean in (black, black + 0.8))
    assert good < bad
    assert good < 8 + 0.2
    if kind == "continuous-bernoulli":
        grey = float(likelihood.bits_per_dimension(black + 100 / 255, black + 0.499 / 0.998))
        assert grey == pytest.approx(math.log2(255), abs=1e-6)
