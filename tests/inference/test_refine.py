"""The second look: it leaves what is well explained alone, climbs the bound, and knows no label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from airctl.config import Config
from airctl.inference import climb as module
from airctl.inference.climb import climb
from airctl.inference.refine import badly_explained, explanations, hypotheses, refine
from airctl.model import AIR, Gaussian, Noise, Objects, paste, truncated_geometric
from airctl.objectives import Terms, terms_of

Tiny = Callable[..., Config]


def first_pass(config: Config, scenes: int = 6) -> tuple[AIR, Objects, Terms]:
    """An untrained model, which explains nothing well, and its roll-out over random scenes."""
    torch.manual_seed(0)
    model = AIR(config)
    canvas = torch.rand(scenes, 12, 12).round() * 0.8
    with torch.no_grad():
        objects = model(canvas, model.mean_noise(scenes))
        return model, objects, terms_of(objects, truncated_geometric(0.01, config.model.num_steps), Gaussian(0.3))


def explained(objects: Objects, terms: Terms, rows: list[int]) -> tuple[Objects, Terms]:
    """The same, but that the scenes ``rows`` are exactly what one object draws, and the count of them is certain."""
    canvas, log_q = objects.canvas.clone(), terms.log_q.clone()
    canvas[rows] = objects.pasted[rows, 0]
    log_q[rows] = torch.tensor([-100.0, 0.0, -100.0, -100.0])
    return replace(objects, canvas=canvas), replace(terms, log_q=log_q)


def test_what_is_explained_is_left_alone(tiny_config: Tiny) -> None:
    """Rows 1 and 4 are explained and certain: not one bit of them changes. The others are looked at again."""
    model, objects, terms = first_pass(tiny_config())
    objects, terms = explained(objects, terms, [1, 4])
    assert badly_explained(objects, terms).tolist() == [True, False, True, True, False, True]
    after, after_terms = refine(model, objects, terms)
    for name in ("z_where", "z_what", "objects", "pasted"):
        assert torch.equal(getattr(after, name)[[1, 4]], getattr(objects, name)[[1, 4]])
    assert torch.equal(after_terms.log_q[[1, 4]], terms.log_q[[1, 4]])
    assert not torch.equal(after_terms.log_q[[0, 2, 3, 5]], terms.log_q[[0, 2, 3, 5]])


def test_an_uncertain_count_is_looked_at_again(tiny_config: Tiny) -> None:
    """However well the scene is explained."""
    _, objects, terms = first_pass(tiny_config())
    objects, terms = explained(objects, terms, [1, 4])
    unsure = replace(terms, log_q=torch.full_like(terms.log_q, 0.25).log())
    assert badly_explained(objects, unsure).all()


def test_each_hypothesis_climbs_its_bound(tiny_config: Tiny) -> None:
    """The same noise before and after: every bound is higher after the steps, in every scene."""
    model, objects, _ = first_pass(tiny_config())
    rows = torch.arange(6)
    start = hypotheses(model, objects, rows, torch.tensor([0, 1, 1, 2, 3, 1]))
    before, after = (climb(model, objects.canvas, start, steps)[2] for steps in (0, 20))
    there = start.there.any(2)
    assert there[:, :3].all()
    assert there[:, 3].tolist() == [False, True, True, False, False, True]
    assert (after > before)[there].all()
    assert (after == -torch.inf)[~there].all()


def test_the_bound_is_the_elbo_of_that_count(tiny_config: Tiny) -> None:
    """Without steps: the mean over the pairs of noise of log p(x | canvas_n) - kl_n, by the roll-out's terms."""
    model, objects, _ = first_pass(tiny_config())
    start = hypotheses(model, objects, torch.arange(6), torch.zeros(6, dtype=torch.long))
    bounds = climb(model, objects.canvas, start, 0)[2][:, :3]
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(module.PAIRS):
        noise = model.noise(1, generator, 3)
        for sign in (1, -1):
            shifted = Noise(sign * noise.where.expand(6, -1, -1), sign * noise.what.expand(6, -1, -1))
            z_where = objects.q_where.loc + objects.q_where.scale * shifted.where
            z_what = objects.q_what.loc + objects.q_what.scale * shifted.what
            with torch.no_grad():
                pasted = model.draw(z_where, z_what, 12)[1]
            terms = terms_of(replace(objects, pasted=pasted), torch.zeros(4), Gaussian(0.3))
            found.append((terms.log_likelihood - terms.kl)[:, 1:])
    torch.testing.assert_close(bounds, torch.stack(found).mean(0), rtol=1e-4, atol=1e-2)


def test_the_refined_posterior_is_one(tiny_config: Tiny) -> None:
    """q(n) sums to 1, and the decisions' probabilities are those of the counts."""
    model, objects, terms = first_pass(tiny_config())
    _, terms = refine(model, objects, terms)
    torch.testing.assert_close(terms.log_q.exp().sum(1), torch.ones(6))
    going = torch.nn.functional.pad(terms.log_present.cumsum(1), (1, 0))
    stopping = torch.nn.functional.pad(terms.log_absent, (0, 1))
    torch.testing.assert_close((going + stopping).exp(), terms.log_q.exp(), rtol=1e-4, atol=1e-6)


def test_a_scene_has_its_answer_whatever_it_is_looked_at_with(tiny_config: Tiny) -> None:
    """Alone or among others, once or twice; and the model is left as it was, without gradients."""
    config = tiny_config()
    torch.manual_seed(0)
    model = AIR(config)
    images = (torch.rand(5, 12, 12) * 255).to(torch.uint8)
    log_p = truncated_geometric(0.01, 3)
    together = next(explanations(model, images, log_p))
    alone = next(explanations(model, images[3:4], log_p))
    torch.testing.assert_close(alone[0].z_where[0], together[0].z_where[3], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(alone[1].log_q[0], together[1].log_q[3], rtol=1e-3, atol=1e-2)
    assert all(p.grad is None for p in model.parameters())


def test_two_objects_taken_for_one_are_told_apart(tiny_config: Tiny) -> None:
    """A decoder that draws one square, a first pass that saw one between two of them: the split wins with both."""
    torch.manual_seed(0)
    config = tiny_config("prior.where_scale=[1.0,2.0,2.0]")
    model = AIR(config)
    for parameter in model.decoder.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        model.decoder.layers[2].bias += 12.0  # every object is a full square of a third of the canvas
    where = torch.tensor([[[3.0, -1.2, 0.0], [3.0, 1.2, 0.0], [3.0, 0.0, 2.0]]])
    canvas = sum(paste(torch.ones(1, 4, 4), where[:, i], 12) for i in (0, 1))
    with torch.no_grad():
        objects = model(canvas, model.mean_noise(1))
    between = objects.z_where.clone()
    between[0, 0] = torch.tensor([3.0, 0.0, 0.0])
    narrow = torch.distributions.Normal(between, torch.full_like(between, 0.05))
    pasted = model.draw(between, objects.z_what, 12)[1].detach()
    objects = replace(objects, z_where=between, q_where=narrow, pasted=pasted)
    terms = terms_of(objects, truncated_geometric(0.01, 3), Gaussian(0.3))
    sure_of_one = replace(terms, log_q=torch.tensor([[-9.0, -0.001, -8.0, -9.0]]))
    after, after_terms = refine(model, objects, sure_of_one)
    assert after_terms.log_q.argmax(1).tolist() == [2]
    centres = sorted((after.z_where[0, :2, 1] / after.z_where[0, :2, 0]).tolist())
    assert centres == pytest.approx([-0.4, 0.4], abs=0.1)
