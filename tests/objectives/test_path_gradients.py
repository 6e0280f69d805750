"""Gradients through the samples alone: the mean of their siblings', and nothing left where q is the posterior."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from laws import gradient, within
from test_marginal import model_of
from torch import Tensor

from airctl.config import Config
from airctl.model import AIR, Noise, Objects
from airctl.objectives import (
    VIMCO,
    DReG,
    Estimator,
    Exact,
    Marginal,
    MarginalPath,
    StickingTheLanding,
    Surrogate,
    Temperature,
    Terms,
    terms_of,
)
from airctl.objectives.importance import fixed, fixed_terms, log_posterior, log_prior, log_weights

Tiny = Callable[..., Config]
ROUNDS, ROWS = 20, 600


@pytest.fixture(params=["unary", "subsets"])
def model(request: pytest.FixtureRequest, tiny_config: Tiny) -> AIR:
    """A model of each code, in float64, of which what is drawn hangs much on z_what."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = model_of() if request.param == "subsets" else AIR(tiny_config("likelihood.sd=0.6")).double()
    with torch.no_grad():
        for layer in made.decoder.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(3)
    return made


def passed(model: AIR, seed: int, copies: int = 1, rows: int = ROWS) -> tuple[Objects, Terms]:
    """``copies`` passes of each of ``rows`` times the same scene, every one with noise of its own."""
    side = model.config.model.canvas
    canvas = torch.rand(1, side, side, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise = model.noise(rows * copies, torch.Generator().manual_seed(seed))
    objects = model(canvas.expand(rows, -1, -1), Noise(noise.where.double(), noise.what.double()))
    return objects, terms_of(objects, model.count(3), model.likelihood)


def differences(model: AIR, one: Estimator, other: Estimator) -> Tensor:
    """The gradient of ``one`` in q(z_what) less that of ``other``, same samples: [ROUNDS, P], means over ROWS."""
    found = []
    for seed in range(ROUNDS):
        objects, terms = passed(model, seed, one.copies)
        losses = [each(objects, terms, torch.Generator().manual_seed(seed)).loss for each in (one, other)]
        found.append(gradient(losses[0] - losses[1], list(model.what.parameters())))
    return torch.stack(found)


def with_ratios(objects: Objects, terms: Terms) -> Terms:
    """The terms with the sampled log ratios in the place of the KLs."""
    return replace(terms, kl=terms.code.sums(log_posterior(objects) - log_prior(objects)))


class SampledMarginal(Marginal):
    """``marginal`` with sampled log ratios, the score of q(z) and all."""

    copies = 1

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return super().expected(objects, with_ratios(objects, terms))


def cold() -> Temperature:
    return Temperature(1.0, 1.0, 0)


PAIRS: list[tuple[Estimator, Estimator]] = [
    (StickingTheLanding(), Exact()),
    (MarginalPath(cold(), 30.0), SampledMarginal(cold(), 30.0)),
    (DReG(2), VIMCO(2)),
]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=["sticking-the-landing", "marginal-path", "dreg"])
def test_the_mean_is_that_of_the_gradient_with_the_score(model: AIR, one: Estimator, other: Estimator) -> None:
    """Over 12 000 samples, in each parameter within five standard errors; sample by sample they differ."""
    found = differences(model, one, other)
    assert within(found, torch.zeros_like(found[0]))
    assert found.std(0).max() > 1e-3


class Undiscounted(DReG):
    """Leaves the score of q(z) out and changes nothing else: sticking the landing, under several weights."""

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        whole = VIMCO.given(self, objects, terms, codewords)
        log_w = log_weights(objects, terms).gather(1, codewords[:, None]).unflatten(0, (-1, self.copies))[..., 0]
        score = terms.code.sums(log_posterior(fixed(objects))).gather(1, codewords[:, None])
        left_out = (log_w.detach().softmax(1) * score.unflatten(0, (-1, self.copies))[..., 0]).sum(1)
        return replace(whole, loss=whole.loss - left_out.mean())


class AllThere(MarginalPath):
    """Leaves the whole score out, as if every pi_i were independent of z_i."""

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        ratios = with_ratios(objects, terms)
        weights = ratios.log_w.detach().softmax(1)
        score = (weights * terms.code.sums(log_posterior(fixed(objects)))).sum(1)
        surrogate = self.marginal.expected(objects, ratios)
        return replace(surrogate, loss=surrogate.loss - score.mean())


@pytest.mark.parametrize(
    ("wrong", "other"), [(Undiscounted(5), VIMCO(5)), (AllThere(cold(), 30.0), SampledMarginal(cold(), 30.0))]
)
def test_leaving_the_score_out_where_its_weight_hangs_on_the_sample_is_caught(
    model: AIR, wrong: Estimator, other: Estimator
) -> None:
    """Negative control: w~_k and pi_i depend on z, so their score has a mean."""
    found = differences(model, wrong, other)
    assert not within(found, torch.zeros_like(found[0]))


def test_a_function_less_the_same_of_fixed_objects_is_zero(model: AIR) -> None:
    """Its value is 0; its gradient reaches the inference network through the samples, the decoder not at all."""
    objects, terms = passed(model, 0, rows=2)
    held = fixed(objects)
    path = (log_weights(objects, terms) - log_weights(held, fixed_terms(held, terms))).sum()
    assert path.abs() < 1e-9
    assert gradient(path, list(model.decoder.parameters())).abs().max() < 1e-9
    assert gradient(path, list(model.encoder.parameters())).abs().max() > 1e-3
    with pytest.raises(ValueError, match="made again"):
        fixed(replace(objects, again=None))


def silent(model: AIR) -> None:
    """Nothing that is drawn hangs on z_what, and q(z_what) is its prior: the posterior itself."""
    with torch.no_grad():
        first = next(layer for layer in model.decoder.modules() if isinstance(layer, torch.nn.Linear))
        first.weight.zero_()
        head = model.what.head
        head.weight.zero_()
        head.bias.zero_()
        sd_of_1 = math.log(math.expm1(1 - 1e-4)) - math.log(math.expm1(1.0))  # as ``positive`` makes it
        head.bias[model.config.model.what :] = sd_of_1


def spread_in_what(model: AIR, chosen: Estimator) -> float:
    """The largest sd of the gradient in the head of q(z_what) over 20 samples; every object is known to be there."""
    found = []
    for seed in range(20):
        objects, terms = passed(model, seed, chosen.copies, rows=1)
        objects = replace(objects, logits=torch.full_like(objects.logits, 30.0))
        all_there = torch.full_like(terms.log_p, -1e4)
        all_there[-1] = 0.0
        terms = Terms.of(terms.code, terms.log_likelihood, terms.kl, objects.logits, all_there, terms.likelihood)
        loss = chosen(objects, terms, torch.Generator().manual_seed(seed)).loss
        found.append(gradient(loss, list(model.what.parameters())))
    return float(torch.stack(found).std(0).max())


class SampledExact(Exact):
    """``exact`` with sampled log ratios, the score of q(z) and all."""

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return super().expected(objects, with_ratios(objects, terms))


@pytest.mark.parametrize(
    ("one", "other"),
    [(StickingTheLanding(), SampledExact()), PAIRS[1], (DReG(3), VIMCO(3))],
    ids=["sticking-the-landing", "marginal-path", "dreg"],
)
def test_where_q_is_the_posterior_no_noise_is_left(one: Estimator, other: Estimator) -> None:
    """In the head of q(z_what) the gradient is 0 sample by sample; with the score it is not."""
    model = model_of()
    silent(model)
    assert spread_in_what(model, one) < 1e-6 < 1e-2 < spread_in_what(model, other)
