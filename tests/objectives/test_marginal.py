"""The collapsed bound: below log p(x), differentiated as it stands, with logits that only the cross-entropy teaches."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from airctl.config import override, preset
from airctl.model import AIR, DenseLayers, Gaussian, Noise, Objects, Subsets
from airctl.objectives import Exact, Marginal, Temperature, Terms, terms_of
from airctl.objectives.importance import log_posterior, log_prior
from airctl.objectives.marginal import presence

SETTINGS = (
    "model.canvas=16",
    "model.object_size=8",
    "model.glimpse=5",
    "model.what=3",
    "model.glimpse_hidden=6",
    "model.num_steps=3",
    "likelihood.sd=0.6",
)


def model_of() -> AIR:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AIR(override(preset("fast"), SETTINGS)).double()


def observed(model: AIR, samples: int = 1, batch: int = 2, seed: int = 1) -> tuple[Objects, Terms]:
    canvas = torch.rand(batch, 16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise = model.noise(batch * samples, torch.Generator().manual_seed(seed))
    objects = model(canvas, Noise(noise.where.double(), noise.what.double()))
    return objects, terms_of(objects, model.count(3), model.likelihood)


def marginal(temperature: float = 1.0, weight: float = 30.0) -> Marginal:
    return Marginal(Temperature(temperature, temperature, 0), weight)


def nothing() -> torch.Generator:
    return torch.Generator()


def test_the_bound_lies_below_log_p_of_x() -> None:
    """With sampled log ratios the mean of log sum_S w(S) is below log p(x), importance weighted by 5 000 samples."""
    with torch.no_grad():
        objects, terms = observed(model_of(), samples=5000)
        ratio = terms.code.sums(log_prior(objects) - log_posterior(objects))
        log_w = (terms.log_likelihood + ratio + terms.log_p).logsumexp(1).unflatten(0, (2, 5000))
        tight = log_w.logsumexp(1) - math.log(5000)
        assert (log_w.mean(1) < tight).all()
        elbo = (terms.log_q.exp() * (terms.log_likelihood + ratio + terms.log_p - terms.log_q)).sum(1)
        assert (elbo.unflatten(0, (2, 5000)).mean(1) < log_w.mean(1)).all(), "q(S) only loosens it"


def test_at_temperature_one_the_loss_is_the_bound_and_the_cross_entropy() -> None:
    """-log sum_k w(k) plus weight times the cross-entropy of logits and posterior, by hand."""
    objects, terms = observed(model_of())
    log_w = terms.log_likelihood - terms.kl + terms.log_p
    pi = torch.zeros_like(objects.logits)
    for k in range(8):
        for i in range(3):
            if k >> i & 1:
                pi[:, i] += log_w.softmax(1)[:, k].detach()
    p = objects.logits.sigmoid()
    entropy = -(pi * p.log() + (1 - pi) * (1 - p).log()).sum(1)
    expected = (30 * entropy - log_w.logsumexp(1)).mean()
    torch.testing.assert_close(marginal()(objects, terms, nothing()).loss, expected)
    torch.testing.assert_close(presence(terms), pi)


def test_each_object_is_taught_with_its_posterior_weight() -> None:
    """d loss / d kl_i = pi_i / B: an object that no probable set has is taught nothing."""
    objects, terms = observed(model_of())
    kl = (objects.kl_where + objects.kl_what).detach().requires_grad_()
    free = Terms.of(
        terms.code, terms.log_likelihood.detach(), terms.code.sums(kl), objects.logits, terms.log_p, terms.likelihood
    )
    (slope,) = torch.autograd.grad(marginal()(objects, free, nothing()).loss, kl)
    torch.testing.assert_close(slope, presence(terms) / 2)


def test_the_logits_learn_from_the_cross_entropy_alone() -> None:
    """Their gradient is weight (sigmoid(logit) - pi) / B; without weight there is none."""
    objects, terms = observed(model_of())
    (slope,) = torch.autograd.grad(marginal()(objects, terms, nothing()).loss, objects.logits, retain_graph=True)
    torch.testing.assert_close(slope, 30 * (objects.logits.sigmoid() - presence(terms)).detach() / 2)
    (none,) = torch.autograd.grad(marginal(weight=0.0)(objects, terms, nothing()).loss, objects.logits)
    assert not none.any()


def test_the_gradient_is_the_slope_of_the_bound() -> None:
    """Along random directions of the decoder, central differences give the same, and those of the ELBO do not."""
    model = model_of()
    parameters = list(model.decoder.parameters())

    def loss() -> Tensor:
        return marginal(weight=0.0)(*observed(model), nothing()).loss

    gradient = torch.nn.utils.parameters_to_vector(torch.autograd.grad(loss(), parameters))
    exact = Exact()(*observed(model), nothing()).loss
    other = torch.nn.utils.parameters_to_vector(torch.autograd.grad(exact, parameters))
    before = torch.nn.utils.parameters_to_vector(parameters).detach()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = torch.randn(len(before), generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-6, -1e-6):
                torch.nn.utils.vector_to_parameters(before + step * direction, parameters)
                values.append(loss())
            torch.nn.utils.vector_to_parameters(before, parameters)
        slope = (values[0] - values[1]).item() / 2e-6
        assert slope == pytest.approx((gradient @ direction).item(), rel=1e-5, abs=1e-5)
        assert slope != pytest.approx((other @ direction).item(), rel=1e-2)


def test_a_high_temperature_teaches_every_set_alike_and_falls_with_the_calls() -> None:
    """As T grows pi tends to 1/2 for every object; the module goes from its start to 1 and stays there."""
    _, terms = observed(model_of())
    assert (presence(terms, 1e6) - 0.5).abs().max() < 1e-3
    assert (presence(terms) - 0.5).abs().max() > 0.1
    temperature = Temperature(30.0, 1.0, 4)
    assert [round(temperature(), 4) for _ in range(6)] == [30.0, 12.8186, 5.4772, 2.3403, 1.0, 1.0]


def test_the_gradient_in_the_objects_is_that_of_the_canvases_of_all_sets() -> None:
    """At T = 1: of log sum_S w(S) with each subset's canvas drawn, in the pixels of all objects; tempered it is not."""
    model = model_of()
    objects, _ = observed(model)
    pasted = objects.pasted.detach().requires_grad_()
    log_p, kl = model.count(3), (objects.kl_where + objects.kl_what).detach()
    log_w = []
    for k in range(8):
        members = [i for i in range(3) if k >> i & 1]
        likelihood = model.likelihood.log_prob(objects.canvas, pasted[:, members].sum(1))
        choices = math.comb(3, len(members))
        log_w.append(likelihood - kl[:, members].sum(1) + log_p[len(members)] - math.log(choices))
    (expected,) = torch.autograd.grad(-torch.stack(log_w, 1).logsumexp(1).mean(), pasted)

    dense = replace(objects, layers=DenseLayers(pasted))
    terms = terms_of(dense, log_p, model.likelihood)
    (found,) = torch.autograd.grad(marginal(weight=0.0)(dense, terms, nothing()).loss, pasted, retain_graph=True)
    torch.testing.assert_close(found, expected)
    (tempered,) = torch.autograd.grad(marginal(5.0, weight=0.0)(dense, terms, nothing()).loss, pasted)
    assert not torch.allclose(tempered, expected, rtol=1e-2)


def test_at_a_high_temperature_the_bound_is_the_mean_over_all_sets() -> None:
    """T log sum_k w(k)^(1/T) - T log K -> mean_k log w(k), and so does its gradient; at T = 1 it is another."""
    objects, terms = observed(model_of())
    mean = terms.log_w.mean()
    parameters = [objects.z_where]
    (expected,) = torch.autograd.grad(-mean, parameters, retain_graph=True)
    for temperature, near in ((1e6, True), (1.0, False)):
        loss = marginal(temperature, weight=0.0)(objects, terms, nothing()).loss
        close = abs((-loss - temperature * math.log(8) - mean).item()) < 1e-3 * abs(mean.item())
        (slope,) = torch.autograd.grad(loss, parameters, retain_graph=True)
        assert close == near
        assert torch.allclose(slope, expected, rtol=1e-3, atol=1e-3) == near


def test_each_call_of_the_estimator_cools_it_and_evaluation_does_not() -> None:
    """The temperature is the module's, kept by checkpoints; what is reported is the bound at T = 1 all the same."""
    objects, terms = observed(model_of())
    estimator = Marginal(Temperature(30.0, 1.0, 3), 0.0)
    losses = [estimator(objects, terms, nothing()).loss.item() for _ in range(5)]
    expected = [
        marginal(30.0 ** (1 - done / 3), 0.0)(objects, terms, nothing()).loss.item() for done in (0, 1, 2, 3, 3)
    ]
    assert losses == pytest.approx(expected)
    assert estimator.modules.state_dict()["temperature.calls"] == 5
    reported = [marginal(t)(objects, terms, nothing()).elbo for t in (30.0, 1.0)]
    torch.testing.assert_close(reported[0], reported[1])
    estimator.modules.eval()
    estimator(objects, terms, nothing())
    assert estimator.modules.state_dict()["temperature.calls"] == 5


def collapsed(x: float, closed: bool, sd: float = 0.6) -> tuple[float, float, float]:
    """E_q log sum_S w(S) of x = z + noise with one object, z ~ N(0, 1), q(z) its exact posterior; log p(x).

    By quadrature; ``closed``: with KL(q || p) in the place of the log ratio at the sample. And that ratio's variance.
    """
    at, noise = torch.tensor(x, dtype=torch.float64), torch.tensor(sd, dtype=torch.float64)
    z, zero = torch.linspace(-12, 12, 20001, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    variance = 1 / (1 + 1 / noise**2)
    q, p = Normal(at / noise**2 * variance, variance.sqrt()), Normal(zero, zero + 1)
    density = q.log_prob(z).exp() * (z[1] - z[0])
    ratio, kl = q.log_prob(z) - p.log_prob(z), kl_divergence(q, p)
    empty = Normal(zero, noise).log_prob(at)
    log_likelihood = torch.stack([empty.expand_as(z), Normal(z, noise).log_prob(at)], 1)
    paid = torch.stack([torch.zeros_like(z), kl.expand_as(z) if closed else ratio], 1)
    even = torch.full((2,), 0.5, dtype=torch.float64).log()
    terms = Terms.of(Subsets(1), log_likelihood, paid, torch.zeros(len(z), 1).double(), even, Gaussian(sd))
    bound = (density * terms.log_w.logsumexp(1)).sum()
    truth = torch.logaddexp(empty, Normal(zero, (1 + noise**2).sqrt()).log_prob(at)) + even[0]
    return float(bound), float(truth), float((density * (ratio - kl).square()).sum())


@pytest.mark.parametrize("x", [0.5, 1.0, 1.5])
def test_with_log_ratios_it_is_a_bound_and_with_kls_in_closed_form_it_may_exceed_log_p_of_x(x: float) -> None:
    """With q exact the log ratios give log p(x) itself; closed-form KLs, under a convex log sum exp, a little more.

    At most an eighth of the variance of the log ratio: no second derivative of log(a + e^u) is above a quarter.
    """
    bound, truth, _ = collapsed(x, closed=False)
    assert bound == pytest.approx(truth, abs=1e-9)
    bound, truth, variance = collapsed(x, closed=True)
    assert truth + 0.01 < bound < truth + variance / 8
