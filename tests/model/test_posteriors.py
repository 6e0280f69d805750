"""Posteriors integrate to 1, their samples have the density they say, and closed KLs are those of many samples."""

from __future__ import annotations

import builtins
import importlib.util
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from airctl.config import Config, override
from airctl.errors import ConfigError
from airctl.model import AIR, POSTERIORS, Posterior, require_known
from airctl.model.posteriors import kl, loc_and_sd, normal

FLOWS = ("maf", "nsf")
zuko = pytest.mark.skipif(importlib.util.find_spec("zuko") is None, reason="pip install 'airctl[flows]'")
KINDS = [pytest.param(kind, marks=[zuko] if kind in FLOWS else []) for kind in POSTERIORS]
Tiny = Callable[..., Config]


def made(kind: str, size: int, start: float = 0.7, most: float = 0.0) -> tuple[Posterior, Tensor]:
    """A head that has learnt something, and features."""
    torch.manual_seed(4)
    posterior = POSTERIORS[kind](5, size, start, torch.arange(size).float(), most).double()
    with torch.no_grad():
        for name, parameter in posterior.named_parameters():
            parameter.add_((0.1 if "flow" in name else 0.4) * torch.randn_like(parameter))
    return posterior, torch.randn(3, 5).double()


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_integrates_to_one(kind: str) -> None:
    """Over a grid of two numbers; with sds a tenth too large it would not."""
    posterior, features = made(kind, 2)
    q = posterior(features[:1])
    loc, sd = (value[0].detach() for value in loc_and_sd(q))
    side = torch.linspace(-1, 1, 701).double()
    x, y = (loc[i] + 25 * sd[i] * side for i in (0, 1))
    grid = torch.cartesian_prod(x, y)
    p = q.log_prob(grid).exp().detach().reshape(701, 701)
    assert torch.trapezoid(torch.trapezoid(p, y), x).item() == pytest.approx(1.0, abs=2e-3)
    assert p.max() > 20 * p.mean(), "there is a peak, and the grid holds it"


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_density_of_the_change_of_variables(kind: str, size: int) -> None:
    """log q(z(u)) = log N(u; 0, 1) - log |det dz / du|, the Jacobian by autograd; six numbers are drawn in groups."""
    posterior, features = made(kind, size)
    noise = torch.randn(3, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for b in range(3):
        q = posterior(features[b])
        slope = jacobian(lambda u: posterior.sample(q, u), noise[b])  # noqa: B023
        expected = normal(torch.zeros(size).double(), torch.ones(size).double()).log_prob(noise[b])
        expected = expected - torch.linalg.slogdet(slope).logabsdet
        torch.testing.assert_close(q.log_prob(posterior.sample(q, noise[b])), expected)
        if size > 1 and kind != "diagonal":
            assert (slope - torch.diag(slope.diagonal())).abs().max() > 1e-3, "the numbers depend on each other"


@pytest.mark.parametrize("kind", KINDS)
def test_stacked_steps_are_the_steps(kind: str) -> None:
    """The distribution of all steps [B, M] gives each step's log density; zero noise leads to the centre."""
    posterior, features = made(kind, 3)
    each = [posterior(features), posterior(2 * features)]
    stacked = posterior.stack(each)
    z = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = torch.stack([q.log_prob(z[:, i]) for i, q in enumerate(each)], 1)
    torch.testing.assert_close(stacked.log_prob(z), expected)
    assert stacked.batch_shape == (3, 2)
    torch.testing.assert_close(posterior.sample(stacked, torch.zeros(3, 2, 3).double()), loc_and_sd(stacked)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_as_the_diagonal_posterior(kind: str) -> None:
    """With the same head, a fresh posterior has the density of independent normal numbers of the sd ``start``."""
    posterior = POSTERIORS[kind](5, 4, 0.7).double()
    heads = [m for name, m in posterior.named_modules() if name.endswith("head")]
    for head in heads:
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    q = posterior(torch.randn(2, 5).double())
    z = torch.randn(2, 4).double()
    plain = normal(torch.zeros(2, 4).double(), torch.full((2, 4), 0.7 + 1e-4).double())
    torch.testing.assert_close(q.log_prob(z), plain.log_prob(z))


@pytest.mark.parametrize("kind", KINDS)
def test_the_kl_is_the_mean_log_ratio(kind: str) -> None:
    """In closed form, or the log ratio at the sample itself: over 40 000 samples both come to the same."""
    posterior, features = made(kind, 3)
    q, p = posterior(features[:1].expand(40_000, -1)), normal(torch.zeros(3).double(), torch.full((3,), 1.5).double())
    z = posterior.sample(q, torch.randn(40_000, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    ratio = (q.log_prob(z) - p.log_prob(z)).detach()
    told = kl(q, p, z).detach()
    error = 4 * ratio.std() / math.sqrt(len(ratio))
    assert abs(told.mean() - ratio.mean()) <= error
    assert (told.std() > 0.1) == (kind in FLOWS), "closed forms have no noise"
    assert abs(ratio.mean() - kl(normal(*loc_and_sd(q)), p, z).detach().mean()) > error or kind == "diagonal"


def test_correlations_leave_the_bound_of_the_sds_in_force() -> None:
    """``most`` bounds the standard deviation of each number of a full posterior by itself."""
    posterior, features = made("full", 4, most=0.05)
    q = posterior(100 * features)
    assert (q.stddev <= 0.05 + 1e-9).all()
    covariance = q.scale_tril @ q.scale_tril.mT
    correlation = covariance / (q.stddev[..., None] * q.stddev[..., None, :])
    assert (correlation - torch.eye(4)).abs().max() > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_the_roll_out_takes_each(tiny_config: Tiny, kind: str) -> None:
    """Both latents of the recurrent network by it: the objects' KLs are finite and teach its parameters."""
    model = AIR(tiny_config(f"posterior.where={kind}", f"posterior.what={kind}"))
    objects = model(torch.rand(2, 12, 12), model.noise(2, torch.Generator().manual_seed(0)))
    (objects.kl_where + objects.kl_what).sum().backward()
    assert objects.kl_where.shape == objects.kl_what.shape == (2, 3)
    for posterior in (model.what, model.network.where):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in posterior.parameters())


def test_without_zuko_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tiny_config: Tiny) -> None:
    """Before anything is written; without a flow nobody misses the package."""
    plain = builtins.__import__

    def without(name: str, *arguments: object, **named: object) -> object:
        if name.partition(".")[0] == "zuko":
            raise ImportError(name)
        return plain(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    require_known(tiny_config("posterior.what=full"))
    with pytest.raises(ConfigError, match=r"need the package zuko: pip install 'airctl\[flows\]'"):
        require_known(tiny_config("posterior.what=maf"))


def test_proposals_keep_their_own_poses() -> None:
    """posterior.where of another kind would be ignored by network.kind=proposals: it is refused."""
    chosen = ["network.kind=proposals", "posterior.where=full", "posterior.what=full"]
    with pytest.raises(ConfigError, match=r"expected diagonal, as the poses of network.kind=proposals are"):
        require_known(override(Config(), chosen))
    require_known(override(Config(), [chosen[0], chosen[2]]))
