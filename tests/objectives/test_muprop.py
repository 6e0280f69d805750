"""MuProp: what its linear control takes away it puts back, over all outcomes of the decisions and on both codes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from laws import Problem, exact_gradient, exact_logit_gradient, gradient, logit_gradients, total_variance
from test_on_subsets import problem as on_subsets
from torch import Tensor

from airctl.config import Config
from airctl.model import Objects
from airctl.objectives import Exact, MuProp, NoBaseline, ScoreFunction, Terms, muprop, whole_signal

Tiny = Callable[..., Config]
BITS = torch.tensor(list(product([0.0, 1.0], repeat=3)), dtype=torch.float64)


class NotPutBack(MuProp):
    """Subtracts the linear part, and forgets its mean."""

    def slope(self, rest: Tensor, off: Tensor, put_back: Tensor) -> Tensor:
        return super().slope(rest, off, 0 * put_back)


class PutBackAsFarAsSampled(MuProp):
    """Puts back what the sample took, in the place of its mean."""

    def slope(self, rest: Tensor, off: Tensor, put_back: Tensor) -> Tensor:
        return super().slope(rest, off, put_back * (off > 0))


def weights(logits: Tensor) -> Tensor:
    """The probability of each row of BITS under independent decisions, [8]."""
    p = logits.detach().sigmoid()[0]
    return torch.where(BITS > 0, p, 1 - p).prod(1)


def sampled(problem: Problem, chosen: MuProp) -> Tensor:
    return logit_gradients(problem, lambda *both: chosen.given(*both, BITS), len(BITS))


@pytest.mark.parametrize("bias", [0.3, -1.5])
def test_the_mean_is_the_exact_gradient(tiny_config: Tiny, bias: float) -> None:
    """In the logits and in all parameters."""
    problem = Problem.of(tiny_config(f"network.present_bias={bias}"))
    objects, terms = problem.observe()
    exact = exact_logit_gradient(problem)
    assert (weights(objects.logits) @ sampled(problem, MuProp()) - exact).norm() < 1e-8 * exact.norm()
    each = [gradient(MuProp().given(objects, terms, bits[None]).loss, problem.parameters) for bits in BITS]
    whole = exact_gradient(problem)
    assert (weights(objects.logits) @ torch.stack(each) - whole).norm() < 1e-8 * whole.norm()


def test_the_mean_is_the_exact_gradient_on_subsets() -> None:
    """The same over the eight subsets of three objects."""
    _, objects, terms = on_subsets()
    each = [gradient(MuProp().given(objects, terms, bits[None]).loss, [objects.logits]) for bits in BITS]
    exact = gradient(Exact().expected(objects, terms).loss, [objects.logits])
    torch.testing.assert_close(weights(objects.logits) @ torch.stack(each), exact)


@pytest.mark.parametrize("kind", [NotPutBack, PutBackAsFarAsSampled])
def test_a_control_that_is_not_put_back_is_caught(tiny_config: Tiny, kind: type[MuProp]) -> None:
    """Negative control."""
    problem = Problem.of(tiny_config())
    exact = exact_logit_gradient(problem)
    off = weights(problem.observe()[0].logits) @ sampled(problem, kind()) - exact
    assert off.norm() > 0.01 * exact.norm()


def test_any_control_leaves_the_mean_and_a_good_one_lowers_the_variance(
    tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The expansion of anything else moves nothing but the variance; its own is below the score function's."""
    problem = Problem.of(tiny_config())
    objects = problem.observe()[0]
    q, exact = weights(objects.logits), exact_logit_gradient(problem)
    counts = BITS.cumprod(1).sum(1).long()
    score = ScoreFunction(whole_signal, NoBaseline())
    plain = logit_gradients(problem, lambda *both: score.given(*both, counts), len(BITS))
    assert total_variance(sampled(problem, MuProp()), q) < total_variance(plain, q)

    def other(objects: Objects, terms: Terms, p: Tensor) -> tuple[Tensor, Tensor]:
        return p.new_full(p.shape[:1], 5.0), torch.tensor([3.0, -70.0, 11.0]).double().expand_as(p)

    monkeypatch.setattr(muprop, "expansion", other)
    assert (q @ sampled(problem, MuProp()) - exact).norm() < 1e-8 * exact.norm()
