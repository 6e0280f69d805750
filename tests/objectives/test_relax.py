"""RELAX: whatever its free part is, the mean is the exact gradient; and the free part is learnt."""

from __future__ import annotations

from collections.abc import Callable

import torch
from laws import Problem, exact_logit_gradient, gradient, logit_gradients, within
from test_rebar import NotPutBack, quadrature, rebar

from airctl.config import Config
from airctl.objectives import Relax

Tiny = Callable[..., Config]


class NotPutBackEither(NotPutBack, Relax):
    """RELAX without the gradients that make up for its control."""


def relax(size: int, kind: type[Relax] = Relax) -> Relax:
    """One whose free part is of the size of the learning signal, as if it had learnt."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        built = kind(0.67, size)
        torch.nn.init.normal_(built.free[-1].weight, std=20)
    built.modules.double()
    return built


def test_the_mean_is_the_exact_gradient_for_any_free_part(tiny_config: Tiny) -> None:
    """One step, integrated over the noise and its conditional copy; with a control not put back it is another."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    exact = exact_logit_gradient(problem)
    torch.testing.assert_close(quadrature(problem, relax(1)), exact, rtol=5e-3, atol=5e-3)
    assert (quadrature(problem, relax(1, NotPutBackEither)) - exact).abs() > 0.05 * exact.abs()


def test_the_sampled_gradient_has_that_mean_for_three_steps(tiny_config: Tiny) -> None:
    """20 000 draws, each logit within 5 standard errors; the negative control is far outside."""
    problem = Problem.of(tiny_config())
    exact = exact_logit_gradient(problem)
    generator = torch.Generator().manual_seed(0)
    assert within(logit_gradients(problem, lambda *both: relax(3)(*both, generator), 20_000), exact)
    wrong = relax(3, NotPutBackEither)
    assert not within(logit_gradients(problem, lambda *both: wrong(*both, generator), 20_000), exact)


def test_it_starts_as_rebar_and_its_free_part_is_taught(tiny_config: Tiny) -> None:
    """The same loss draw by draw; fitting it moves r and not the model."""
    problem = Problem.of(tiny_config())
    built = Relax(0.67, 3)
    built.modules.double()
    ours, theirs = (chosen(*problem.observe(), torch.Generator().manual_seed(0)) for chosen in (built, rebar()))
    torch.testing.assert_close(ours.loss, theirs.loss)
    learnt = relax(3)
    surrogate = learnt(*problem.observe(), torch.Generator().manual_seed(0))
    assert gradient(surrogate.baseline_loss, list(learnt.free[-1].parameters())[:1]).any()
    assert not gradient(surrogate.baseline_loss, problem.parameters).any()
    assert not gradient(surrogate.loss, list(learnt.modules.parameters())).any()
