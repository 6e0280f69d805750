"""ARM and DisARM: their means over the shared noise, taken cell by cell, are the exact gradient on both codes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import pytest
import torch
from laws import Problem, exact_gradient, exact_logit_gradient, gradient, logit_gradients
from test_on_subsets import problem as on_subsets
from torch import Tensor

from airctl.config import Config
from airctl.objectives import DisARM, Exact, Terms
from airctl.objectives.concrete import logistic

Tiny = Callable[..., Config]


class SameSign(DisARM):
    """Forgets that a decision that came out the other way round counts with the other sign."""

    def given(self, objects, terms, noise):  # type: ignore[no-untyped-def]
        return super().given(objects, terms, noise.abs())


class ReachedByOne(DisARM):
    """Leaves out what the mirrored sample reaches and the other does not."""

    def reached(self, terms: Terms, codewords: list[Tensor]) -> Tensor:
        return terms.code.decisions(codewords[0])[0]


class AllDecisions(DisARM):
    """Keeps the decisions that neither sample reaches."""

    def reached(self, terms: Terms, codewords: list[Tensor]) -> Tensor:
        return torch.ones_like(super().reached(terms, codewords))


def cells(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The middle of each cell of the noise in which no decision changes, [3^M, M], and the cell's probability, [3^M].

    v = sigmoid(noise) of a decision has its edges at p and 1 - p. Within a cell slopes are linear in v, so that the
    middle is the mean.
    """
    each = []
    for p in logits.sigmoid().tolist():
        edges = [0.0, min(p, 1 - p), max(p, 1 - p), 1.0]
        each.append([((low + high) / 2, high - low) for low, high in pairwise(edges)])
    outcomes = torch.tensor(list(product(*each)), dtype=torch.float64)  # [3^M, M, 2]
    return outcomes[..., 0].logit(), outcomes[..., 1].prod(1)


def unary(problem: Problem, chosen: DisARM) -> Tensor:
    noise, weights = cells(problem.observe()[0].logits.detach()[0])
    return weights @ logit_gradients(problem, lambda *both: chosen.given(*both, noise), len(noise))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("bias", [0.3, -1.5])
def test_the_mean_is_the_exact_gradient(tiny_config: Tiny, plain: bool, bias: float) -> None:
    """Over all 27 cells of three decisions, in the logits and in all parameters."""
    problem = Problem.of(tiny_config(f"network.present_bias={bias}"))
    exact = exact_logit_gradient(problem)
    assert (unary(problem, DisARM(plain)) - exact).norm() < 1e-8 * exact.norm()
    objects, terms = problem.observe()
    noise, weights = cells(objects.logits.detach()[0])
    each = [gradient(DisARM(plain).given(objects, terms, row[None]).loss, problem.parameters) for row in noise]
    whole = exact_gradient(problem)
    assert (weights @ torch.stack(each) - whole).norm() < 1e-8 * whole.norm()


@pytest.mark.parametrize("kind", [SameSign, ReachedByOne])
def test_a_mistake_is_caught(tiny_config: Tiny, kind: type[DisARM]) -> None:
    """Negative control: signs that are not the samples', and a mask that looks at one of the two."""
    problem = Problem.of(tiny_config())
    exact = exact_logit_gradient(problem)
    assert (unary(problem, kind()) - exact).norm() > 0.01 * exact.norm()


@pytest.mark.parametrize("plain", [False, True])
def test_the_mean_is_the_exact_gradient_on_subsets(plain: bool) -> None:
    """The same over the cells of three independent decisions."""
    _, objects, terms = on_subsets()
    noise, weights = cells(objects.logits.detach()[0])
    each = [gradient(DisARM(plain).given(objects, terms, row[None]).loss, [objects.logits]) for row in noise]
    exact = gradient(Exact().expected(objects, terms).loss, [objects.logits])
    torch.testing.assert_close(weights @ torch.stack(each), exact)


def test_disarm_varies_less_than_arm_and_less_than_with_decisions_nobody_reached(tiny_config: Tiny) -> None:
    """Total variance in the logits: DisARM is ARM's mean given the two samples."""
    problem = Problem.of(tiny_config())

    def variance(chosen: DisARM) -> float:
        noise = logistic(torch.zeros(4000, 3).double(), torch.Generator().manual_seed(0))
        return logit_gradients(problem, lambda *both: chosen.given(*both, noise), 4000).var(0).sum().item()

    assert variance(DisARM()) < variance(DisARM(plain=True))
    assert variance(DisARM()) < variance(AllDecisions())
    exact = exact_logit_gradient(problem)
    assert (unary(problem, AllDecisions()) - exact).norm() < 1e-8 * exact.norm(), "both are unbiased"
