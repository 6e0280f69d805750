"""log p(x) against quadrature, where it is known; bits against a sum over all scenes there are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from airctl.config import Config, override, preset
from airctl.evaluation import densities
from airctl.evaluation.counts import sample_counts
from airctl.evaluation.densities import bits_per_dimension, evaluate_densities, log_evidence, summed
from airctl.inference import passes
from airctl.model import AIR

Tiny = Callable[..., Config]
SMALL = ("model.canvas=4", "model.num_steps=1", "model.what=1", "model.glimpse=3", "likelihood.sd=0.5")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_object(tiny_config: Tiny, *settings: str) -> AIR:
    """A model of at most one object with four latent numbers, and a q about as wide as the prior."""
    torch.manual_seed(0)
    model = AIR(tiny_config(*SMALL, "count.probability=0.5", *settings)).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)
        model.network.where.head.weight.zero_()
        model.network.where.head.bias.copy_(torch.tensor([0.1, 0.7, -0.7, 0.8, 3.2, 3.2]))
    return model


def scenes(number: int, side: int = 4) -> Tensor:
    return torch.randint(0, 256, (number, side, side), generator=generator(1), dtype=torch.uint8)


def by_quadrature(model: AIR, images: Tensor, nodes: int = 18) -> Tensor:
    """log p(x) = log [p(0) p(x | nothing) + p(1) int p(z) p(x | z)], by Gauss-Hermite over the four numbers, [S]."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = torch.from_numpy(np.array(list(itertools.product(points, repeat=4)))).float()
    mass = np.log(np.array(list(itertools.product(weights / weights.sum(), repeat=4)))).sum(1)
    canvas = images.float() / 255
    with torch.no_grad():
        z_where = model.poses.from_noise(grid[:, None, :3], canvas)
        drawn = model.draw(z_where, grid[:, None, 3:], canvas[:1])[1].dense()[:, 0]
        log_p = model.count(1)
        found = []
        for x in canvas:
            none = log_p[0] + model.likelihood.log_prob(x[None], torch.zeros_like(x)[None])[0].double()
            some = model.likelihood.log_prob(x[None], drawn).double() + torch.from_numpy(mass)
            found.append(torch.logaddexp(none, log_p[1] + some.logsumexp(0)))
    return torch.stack(found)


@pytest.mark.parametrize(("kind", "sd"), [("gaussian", 0.5), ("laplace", 1.0)])  # a Laplace has kinks
def test_the_estimate_is_log_p_where_it_is_known(tiny_config: Tiny, kind: str, sd: float) -> None:
    """Within four standard errors of quadrature, and above the one-sample bound, which is below by more than that."""
    model, images = one_object(tiny_config, f"likelihood.kind={kind}", f"likelihood.sd={sd}"), scenes(6)
    log_p, truth = model.count(1), by_quadrature(model, images)
    each = torch.stack([log_evidence(model, images, log_p, 2000, generator(seed)) for seed in range(6)])
    error = each.std(0) / math.sqrt(6)
    assert ((each.mean(0) - truth).abs() < 4 * error + 0.01).all()
    assert error.max() < 0.05
    single = torch.stack([log_evidence(model, images, log_p, 1, generator(seed)).mean() for seed in range(400)])
    assert single.mean() < truth.mean() - 4 * single.std() / 20, "Jensen's gap of one sample shows"
    _, elbo = sample_counts(model, images.repeat(300, 1, 1), log_p, generator(3))
    assert elbo.mean() < each.mean(0).mean(), "and the ELBO is below the estimate"


def test_without_the_log_ratio_it_is_another_number(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: weights with q(k) in them, or the closed KL for the ratio, miss log p(x)."""
    model, images = one_object(tiny_config), scenes(6)
    truth = by_quadrature(model, images)
    for wrong in (
        lambda objects, terms: summed(objects, terms) + terms.log_q,
        lambda objects, terms: terms.log_w,
    ):
        monkeypatch.setattr(densities, "summed", wrong)
        off = log_evidence(model, images, model.count(1), 2000, generator()) - truth
        assert off.abs().min() > 0.05


@pytest.mark.parametrize("name", ["recurrent", "fast"])
def test_it_rises_with_the_samples_whatever_the_code(name: str) -> None:
    """Both networks, three proposals and more: K = 1, 10, 100 on one set of scenes; blocks change nothing."""
    torch.manual_seed(0)
    small = ["model.canvas=16", "model.num_steps=3", "model.glimpse=6", "model.what=4", "model.object_size=8"]
    model = AIR(override(preset(name), [*small, "network.hidden=8"])).eval()
    images, log_p = scenes(30, 16), model.count(model.reading_size)
    mean = [float(log_evidence(model, images, log_p, k, generator()).mean()) for k in (1, 10, 100)]
    assert mean[0] < mean[1] < mean[2]
    assert log_evidence(model, images, log_p, 25, generator()).shape == (30,)
    _, elbo = sample_counts(model, images, log_p, generator(1))
    assert mean[2] > float(elbo.mean()) - 1e-3 * abs(float(elbo.mean())), "above the ELBO, or the collapsed bound"


def test_blocks_of_any_size_make_the_same_sum(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five scenes in blocks of two with three samples a pass: as probable as in one go, within its scatter."""
    model, images = one_object(tiny_config), scenes(5)
    whole = log_evidence(model, images, model.count(1), 900, generator())
    monkeypatch.setattr(densities, "SCENES", 2)
    monkeypatch.setattr(densities, "COPIES", 3)
    torch.testing.assert_close(log_evidence(model, images, model.count(1), 900, generator(7)), whole, rtol=0, atol=0.4)


def test_bits_are_a_bound_from_a_distribution_over_all_scenes(tiny_config: Tiny) -> None:
    """2^(-bits pixels) summed over all scenes of one pixel is at most 1; the densities alone would say more."""
    for kind in ("gaussian", "laplace", "bernoulli", "continuous-bernoulli", "discretised-logistic"):
        torch.manual_seed(0)
        model = AIR(tiny_config("model.canvas=1", "model.what=1", "model.glimpse=2", f"likelihood.kind={kind}")).eval()
        images = torch.arange(256, dtype=torch.uint8)[:, None, None]
        log_p = model.count(3)
        # Jensen: the mean over z of the bits is above -log2 P, so 2^-mean sums to less than 1
        each = []
        for seed in range(20):
            noise = [model.noise(250, generator(seed)), model.noise(6, generator(seed + 100))]
            passed = passes(model, images, log_p, lambda batch, noise=noise: noise[batch == 6])
            each.append(torch.cat([bits_per_dimension(o, t, model.likelihood) for o, t in passed]))
        total = (-torch.stack(each).mean(0)).exp2().sum().item()
        assert 0.3 < total < 1 + 1e-3, kind


def test_the_report_has_what_was_asked_for(tiny_config: Tiny) -> None:
    """bits always, log p(x) and its error with a number of samples; one scene has no scatter."""
    model, images = one_object(tiny_config), scenes(6)
    plain = evaluate_densities(model, images, model.count(1), None, generator())
    assert (plain.log_likelihood, plain.log_likelihood_error, plain.log_likelihood_samples) == (None, None, None)
    asked = evaluate_densities(model, images, model.count(1), 50, generator())
    assert asked.bits_per_dimension == plain.bits_per_dimension
    assert asked.log_likelihood_samples == 50
    each = log_evidence(model, images, model.count(1), 4000, generator())
    assert asked.log_likelihood == pytest.approx(float(each.mean()), abs=0.5)
    assert asked.log_likelihood_error == pytest.approx(float(each.std()) / math.sqrt(6), rel=0.5)
    assert evaluate_densities(model, images[:1], model.count(1), 50, generator()).log_likelihood_error is None
