"""From terms to an answer, for both codes, against brute force over the codewords."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from airctl.config import Config, override, preset
from airctl.inference import Answer
from airctl.model import AIR, Objects
from airctl.objectives import Terms, terms_of


def read(config: Config) -> tuple[AIR, Objects, Terms, Answer]:
    torch.manual_seed(0)
    model = AIR(config).double()
    side = config.model.canvas
    canvas = torch.rand(3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        objects = model(canvas, model.mean_noise(3))
        terms = terms_of(objects, model.count(objects.logits.shape[1]), model.likelihood)
        return model, objects, terms, Answer.of(model, objects, terms)


@pytest.fixture(params=["recurrent", "fast"])
def seen(request: pytest.FixtureRequest, tiny_config: Callable[..., Config]) -> tuple[AIR, Objects, Terms, Answer]:
    if request.param == "recurrent":
        return read(tiny_config("likelihood.sd=3.0"))
    small = ["model.canvas=16", "model.object_size=8", "model.glimpse=5", "model.what=3", "model.glimpse_hidden=6"]
    return read(override(preset("fast"), [*small, "model.num_steps=3", "network.dense=1", "likelihood.sd=3.0"]))


def test_the_count_is_the_most_probable_and_its_objects_those_of_the_best_codeword(seen) -> None:
    """p(n | x) sums the codewords of n objects; of those with the best n the most probable one is drawn."""
    model, objects, terms, answer = seen
    posterior, members = model.network.read(terms.log_q, terms.log_w).exp(), objects.code.members
    for b in range(3):
        size = members.shape[1]
        p = [float(posterior[b][members.sum(1) == n].sum()) for n in range(size + 1)]
        assert answer.log_count[b].exp().tolist() == pytest.approx(p)
        count = p.index(max(p))
        assert answer.counts[b] == count
        best = max((k for k in range(len(members)) if members[k].sum() == count), key=lambda k: float(posterior[b, k]))
        chosen = sorted(answer.order[b, :count].tolist())
        assert chosen == members[best].nonzero()[:, 0].tolist()
        torch.testing.assert_close(answer.drawn[b], objects.canvases[b, best])
        at_least = [sum(p[n:]) for n in range(1, size + 1)]
        assert answer.present[b].tolist() == pytest.approx(at_least)


def test_each_object_is_named_once(seen) -> None:
    """The order is a permutation; with the recurrent network it is that of its steps."""
    model, objects, _, answer = seen
    assert torch.equal(answer.order.sort(1).values, torch.arange(objects.logits.shape[1]).expand(3, -1))
    if model.config.network.kind == "recurrent":
        assert torch.equal(answer.order, torch.arange(3).expand(3, -1))


def test_each_object_has_the_probability_of_all_sets_that_have_it(seen) -> None:
    """In the order of naming; it is another number than that of a first, a second, a third object."""
    model, objects, terms, answer = seen
    posterior, members = model.network.read(terms.log_q, terms.log_w).exp(), objects.code.members
    for b in range(3):
        for place, i in enumerate(answer.order[b].tolist()):
            by_hand = sum(float(posterior[b, k]) for k in range(len(members)) if members[k, i])
            assert answer.each[b, place].item() == pytest.approx(by_hand)
    if model.config.network.kind == "proposals":
        assert not torch.allclose(answer.each, answer.present)
    else:
        torch.testing.assert_close(answer.each, answer.present)  # the i-th step is there if there are i objects


def test_the_proposals_answer_is_the_posterior_tempered_times_what_the_map_expects() -> None:
    """q(S) w(S)^(1 / T), normalised; without the map, or without tempering, it is another."""
    small = ["model.canvas=16", "model.object_size=8", "model.glimpse=5", "model.what=3", "model.glimpse_hidden=6"]
    model, _, terms, _ = read(override(preset("fast"), [*small, "network.reading_temperature=4", "likelihood.sd=3.0"]))
    found = model.network.read(terms.log_q, terms.log_w).exp()
    weights = terms.log_q.exp() * (terms.log_w - terms.log_w.amax(1, keepdim=True)).exp() ** 0.25
    torch.testing.assert_close(found, weights / weights.sum(1, keepdim=True))
    assert not torch.allclose(found, (terms.log_w / 4).softmax(1), rtol=1e-2)
    assert not torch.allclose(found, (terms.log_w + terms.log_q).softmax(1), rtol=1e-2)
