"""The search for other arrangements: which moves there are, and that it only ever explains better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from airctl.config import Config
from airctl.inference import rearrange as module
from airctl.inference.climb import Hypotheses, climb
from airctl.inference.effort import CROWDED, USUAL, Effort
from airctl.inference.rearrange import drawn, moves, of_count, rearrange
from airctl.model import AIR

Tiny = Callable[..., Config]
NOWHERE = torch.empty(0, 2)  # no place but those that the network sees


def explained(config: Config, counts: list[int]) -> tuple[AIR, torch.Tensor, Hypotheses]:
    """An untrained model, random scenes, and explanations [R, 1, N] of them by so many objects of its roll-out."""
    torch.manual_seed(0)
    model = AIR(config)
    canvas = torch.rand(len(counts), 12, 12).round() * 0.8
    with torch.no_grad():
        objects = model(canvas, model.mean_noise(len(counts)))
    parts = (objects.z_where, objects.z_what, objects.q_where.scale.log(), objects.q_what.scale.log())
    there = torch.arange(objects.z_where.shape[1]) < torch.tensor(counts)[:, None]
    return model, canvas, Hypotheses.of((part[:, None] for part in parts), there[:, None])


def known(model: AIR, canvas: torch.Tensor, found: Hypotheses) -> tuple[Hypotheses, torch.Tensor]:
    """``found`` as the only explanation [R, N, N] that there is, with the scores [R, N + 1] that say so."""
    number, counts = found.there.shape[2], found.there.sum(2)
    each = torch.arange(1, number + 1) == counts  # [R, N]
    by_count = Hypotheses.of(
        (part.expand(-1, number, -1, -1) for part in found.parts),
        found.there.expand(-1, number, -1) & each[..., None],
    )
    scores = torch.full((len(canvas), number + 1), -torch.inf)
    bounds = climb(model, canvas, found, 0)[2]
    return by_count, scores.scatter(1, counts, bounds.nan_to_num(neginf=-1e4))


def best(found: Hypotheses, scores: torch.Tensor) -> Hypotheses:
    """The explanation that has the best score."""
    return of_count(found, torch.arange(len(scores)), scores.argmax(1))


def test_the_moves_are_those_that_can_be_made(tiny_config: Tiny) -> None:
    """Up to two away and up to two in their place, no more than N = 3 at the end, and never nothing at all."""
    model, canvas, found = explained(tiny_config(), [0, 1, 2, 3])
    tried = moves(model, canvas, found, model.mean_noise(1, 2), NOWHERE)
    made = [sorted(there.sum(1)[there.any(1)].tolist()) for there in tried.there]
    assert made[0] == [1, 2]  # only new ones
    assert made[1] == [1, 2, 2, 3]  # in place of it, or beside it; taking it away leaves nothing to climb
    assert made[2] == [1, 1, 1, 2, 2, 2, 3, 3, 3]  # 1 away: 1 + (0, 1, 2) each; both: (1, 2); none: 2 + 1
    assert made[3] == [1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]


def test_places_are_tried_beside_what_the_network_sees(tiny_config: Tiny) -> None:
    """Two places make two more pairs for each set of objects taken away; the network's own moves stay as they were."""
    model, canvas, found = explained(tiny_config(), [2])
    own = moves(model, canvas, found, model.mean_noise(1, 2), NOWHERE)
    more = moves(model, canvas, found, model.mean_noise(1, 2), torch.rand(2, 2))
    made = lambda tried: {tuple(tried.where[0, h, t].flatten().tolist()) for h, t in enumerate(tried.there[0])}  # noqa: E731
    assert made(own) < made(more)
    assert int(more.there.any(2).sum()) == 9 + 2 * (3 * 2 + 1)  # one or two new ones; beside both there is room for one


def test_a_place_has_ink_and_the_second_is_away_from_the_first(tiny_config: Tiny) -> None:
    """In a scene of two bright pixels each pair of places is those two, in either order, whatever the numbers."""
    model = AIR(tiny_config("model.decoder_bias=-50"))  # it draws nothing
    rest = torch.zeros(1, 12, 12)
    rest[0, 2, 3] = rest[0, 9, 8] = 1.0
    numbers = torch.rand(20, 2)
    centres = {
        tuple(((where[0, :, 1:] / where[0, :, :1] + 1) * 6 - 0.5).round().int().flatten().tolist())
        for where, *_ in module._at_ink(model, rest, torch.zeros(1, 2, 3), numbers)
    }
    assert centres == {(3, 2, 8, 9), (8, 9, 3, 2)}


def test_a_move_keeps_the_others_as_they_are(tiny_config: Tiny) -> None:
    """With two objects, the only move to three keeps both in their slots; the one that drops the first moves up."""
    model, canvas, found = explained(tiny_config(), [2])
    tried = moves(model, canvas, found, model.mean_noise(1, 2), NOWHERE)
    birth = next(h for h in range(tried.there.shape[1]) if tried.there[0, h].sum() == 3)  # taking none comes first
    assert torch.equal(tried.where[0, birth, :2], found.where[0, 0, :2])
    dropped = [h for h in range(tried.there.shape[1]) if tried.there[0, h].tolist() == [True, False, False]]
    assert any(torch.equal(tried.what[0, h, 0], found.what[0, 0, 1]) for h in dropped)


def test_it_only_ever_explains_better(tiny_config: Tiny) -> None:
    """No score falls, the best one rises in these scenes of noise, and there are as many objects as are said."""
    model, canvas, found = explained(tiny_config(), [0, 1, 2, 3])
    by_count, scores = known(model, canvas, found)
    after, risen = rearrange(model, canvas, by_count, scores, torch.zeros(4, 4))
    assert (risen >= scores).all()
    assert (risen.amax(1) > scores.amax(1)).any()
    assert torch.equal(risen.argmax(1), best(after, risen).there[:, 0].sum(1))
    new = torch.where(risen > scores)
    assert all(after.there[row, count - 1].sum() == count for row, count in zip(*new, strict=True))


def test_what_is_explained_is_left_alone(tiny_config: Tiny) -> None:
    """A scene that is exactly what its object draws keeps every bit, whatever happens to the one beside it."""
    model, canvas, found = explained(tiny_config(), [1, 1])
    canvas = torch.stack([drawn(model, found, 12)[0, 0, 0], canvas[1]])
    by_count, scores = known(model, canvas, found)
    after, risen = rearrange(model, canvas, by_count, scores, torch.zeros(2, 4))
    for old, new in zip((*by_count.parts, by_count.there), (*after.parts, after.there), strict=True):
        assert torch.equal(old[0], new[0])
    assert torch.equal(risen[0], scores[0])
    assert not torch.equal(risen[1], scores[1])


def test_the_evidence_counts(tiny_config: Tiny) -> None:
    """A count that the first pass rules out is not chosen, however well it would explain the scene."""
    model, canvas, found = explained(tiny_config(), [1, 1])
    against = torch.tensor([0.0, 0.0, -1e6, -1e6]).expand(2, 4)
    _, risen = rearrange(model, canvas, *known(model, canvas, found), against)
    assert (risen.argmax(1) <= 1).all()


def test_more_objects_must_explain_more(tiny_config: Tiny) -> None:
    """Doubt decides whether scenes of noise, which nothing explains, get more objects than one: the more, the more."""
    model, canvas, found = explained(tiny_config(), [1, 1, 1, 1])
    risen = {}
    for doubt in (-1e4, 0.0, 1e4):
        effort = replace(USUAL, doubt=doubt)
        risen[doubt] = rearrange(model, canvas, *known(model, canvas, found), torch.zeros(4, 4), effort)[1][:, 1:]
    assert (risen[1e4].argmax(1) == 0).all(), "one object"
    torch.testing.assert_close(risen[-1e4] - risen[0.0], torch.tensor([0.0, 1e4, 2e4]).expand(4, 3))


def shorter(model: AIR, config: Config) -> AIR:
    """The same model, trained with fewer steps."""
    fewer = AIR(config)
    fewer.load_state_dict(model.state_dict())
    return fewer


def test_more_steps_than_in_training_expect_more_objects(tiny_config: Tiny) -> None:
    """Who asks a model of two steps for three is not doubted."""
    model, canvas, found = explained(tiny_config(), [1, 1, 1, 1])
    sceptic = replace(USUAL, doubt=1e4)
    by_count, scores = known(model, canvas, found)
    assert (rearrange(model, canvas, by_count, scores, torch.zeros(4, 4), sceptic)[1].argmax(1) == 1).all()
    model = shorter(model, tiny_config("model.num_steps=2"))
    assert (rearrange(model, canvas, by_count, scores, torch.zeros(4, 4), sceptic)[1].argmax(1) > 1).any()


def test_samples_find_what_means_do_not(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """They only add to what the means find, and only where more steps are asked for than in training."""
    model, canvas, found = explained(tiny_config(), [1, 1, 1, 1])
    for asked, beyond in ((model, False), (shorter(model, tiny_config("model.num_steps=2")), True)):
        after = {}
        for samples in (0, 3):
            monkeypatch.setattr(module, "SAMPLES", samples)
            after[samples] = rearrange(asked, canvas, *known(asked, canvas, found), torch.zeros(4, 4))[1]
        assert (after[3] >= after[0]).all()
        assert bool((after[3].amax(1) > after[0].amax(1)).any()) == beyond


@pytest.mark.parametrize("effort", [USUAL, CROWDED])
def test_scenes_do_not_depend_on_each_other(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch, effort: Effort) -> None:
    """One at a time gives what all at once give, but for rounding."""
    model, canvas, found = explained(tiny_config(), [0, 1, 2, 3])
    by_count, scores = known(model, canvas, found)
    together = rearrange(model, canvas, by_count, scores, torch.zeros(4, 4), effort)
    monkeypatch.setattr(module, "PIXELS", 1)
    alone = rearrange(model, canvas, by_count, scores, torch.zeros(4, 4), effort)
    assert torch.equal(together[0].there, alone[0].there)
    torch.testing.assert_close(together[1], alone[1], rtol=1e-4, atol=1e-2)


def test_a_crowd_costs_no_pairs(tiny_config: Tiny) -> None:
    """Nine objects: one away or none, and up to two in its place."""
    model, canvas, found = explained(tiny_config("model.num_steps=9"), [9])
    assert moves(model, canvas, found, model.mean_noise(1, 2), NOWHERE).there.shape[1] == (1 + 9) * 3
