"""Lessons by cut and paste: what scenes are made, what is said of them, and whom the loss teaches."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_marginal import model_of, observed
from torch import Tensor

from airctl.model import Map, Objects
from airctl.model.posteriors import normal
from airctl.objectives import CutAndPaste, Terms, cut_and_paste
from airctl.objectives.cut_and_paste import FAR, Explained, Pairs, lesson, places_loss

SIDE, SIZE, M = 24, 8.0, 3


def found(brightness: float, batch: int = 12, seed: int = 0) -> Explained:
    """Scenes of one or two squares of 3 x 3 pixels; ``what`` says which scene and which object each is."""
    generator = torch.Generator().manual_seed(seed)
    canvas = torch.zeros(batch, SIDE, SIDE).double()
    where, what = torch.zeros(batch, M, 3).double(), torch.zeros(batch, M, 2).double()
    present = torch.zeros(batch, M).double()
    for b in range(batch):
        present[b, : 1 + b % 2] = 1
        for i in range(M):
            row, column = torch.randint(4, SIDE - 4, (2,), generator=generator).tolist()
            where[b, i] = torch.tensor([0.1 * b, column + 0.5, row + 0.5])
            what[b, i] = torch.tensor([b, i])
            if present[b, i]:
                canvas[b, row - 1 : row + 2, column - 1 : column + 2] = brightness
    return Explained(canvas, present, torch.ones(batch, dtype=torch.bool), where, what)


def made(of: Explained, near: float = 0.12, seed: int = 1, tries: int = 20) -> Pairs:
    pairs = CutAndPaste(64, near, tries).make(of, SIZE, torch.Generator().manual_seed(seed))
    assert pairs is not None
    return pairs


def moved(canvas: Tensor, right: int, down: int) -> Tensor:
    """One scene moved pixel by pixel; what leaves it is lost."""
    out = torch.zeros_like(canvas)
    for row, column in canvas.nonzero().tolist():
        if 0 <= row + down < SIDE and 0 <= column + right < SIDE:
            out[row + down, column + right] = canvas[row, column]
    return out


def sources(pairs: Pairs, s: int) -> tuple[int, int]:
    """The scenes that made scene ``s`` says it was made of."""
    return int(pairs.what[s, 0, 0]), int(pairs.what[s, M, 0])


def least(pairs: Pairs) -> Tensor:
    """The least distance of an object of the one scene and one of the other, [S] pixels."""
    apart = (pairs.where[:, :M, None, 1:] - pairs.where[:, None, M:, 1:]).norm(dim=-1)
    there = pairs.present[:, :M, None] * pairs.present[:, None, M:] > 0
    return apart.masked_fill(~there, torch.inf).flatten(1).amin(1)


def test_a_made_scene_is_one_scene_and_another_that_was_moved_with_its_labels() -> None:
    """The shift that the labels tell, applied pixel by pixel, gives the canvas; sizes, looks and presence are kept."""
    of = found(0.4)
    pairs = made(of)
    swapped = 0
    for s in range(len(pairs.canvas)):
        first, second = sources(pairs, s)
        shift = pairs.where[s, M:] - of.where[second]
        right, down = (round(float(v)) for v in shift[0, 1:])
        assert torch.equal(shift, torch.tensor([0.0, right, down]).double().expand(M, 3))
        assert torch.equal(pairs.canvas[s], of.canvas[first] + moved(of.canvas[second], right, down))
        assert torch.equal(pairs.where[s, :M], of.where[first])
        assert torch.equal(pairs.what[s], torch.cat([of.what[first], of.what[second]]))
        assert torch.equal(pairs.present[s], torch.cat([of.present[first], of.present[second]]))
        swapped += not torch.equal(pairs.canvas[s], of.canvas[first] + moved(of.canvas[second], down, right))
    assert len(pairs.canvas) == 64
    assert swapped > 32, "right and down are told apart"


def test_there_is_ink_where_the_labels_say() -> None:
    """The pixel in which an object's centre lies is lit, for each object that is there; one pixel outside it is not."""
    pairs = made(found(0.4))
    scene, which = pairs.present.nonzero(as_tuple=True)
    column, row = pairs.where[scene, which, 1:].floor().long().unbind(1)
    assert (pairs.canvas[scene, row, column] >= 0.4).all()
    absent = 1 - pairs.present
    scene, which = absent.nonzero(as_tuple=True)
    column, row = pairs.where[scene, which, 1:].floor().long().clamp(0, SIDE - 1).unbind(1)
    assert not (pairs.canvas[scene, row, column] >= 0.4).all(), "objects that are not there have labels elsewhere"


def test_sums_above_one_are_thrown_away() -> None:
    """Of squares of 0.6 none overlap in what comes out; of squares of 0.4 some do."""
    bright, dim = made(found(0.6)), made(found(0.4))
    assert bright.canvas.amax() <= 1
    assert set(bright.canvas.unique().tolist()) == {0.0, 0.6}
    assert dim.canvas.amax().item() == pytest.approx(0.8)


def test_a_scene_whose_ink_would_leave_the_canvas_is_thrown_away() -> None:
    """No made scene has less ink than its two sources."""
    of = found(0.4)
    pairs = made(of)
    for s in range(len(pairs.canvas)):
        first, second = sources(pairs, s)
        assert pairs.canvas[s].sum().item() == pytest.approx((of.canvas[first].sum() + of.canvas[second].sum()).item())


@pytest.mark.parametrize("near", [0.12, 0.5])
def test_no_two_objects_are_nearer_than_near(near: float) -> None:
    """Whichever two of the two scenes, after rounding; the closest two are at most FAR and a pixel apart."""
    of = found(0.2, batch=24)
    apart = torch.cat([least(made(of, near, seed)) for seed in range(4)])
    assert (apart >= near * SIZE).all()
    assert (apart <= FAR * SIZE + 1).all()
    nearer = torch.cat([least(made(of, 0.0, seed)) for seed in range(4)])
    assert (nearer < near * SIZE).any(), "without the bound some are nearer"


def test_only_usable_scenes_are_taken_and_two_are_needed() -> None:
    """What the model does not explain is in no lesson; with one scene to learn from there is no lesson."""
    of = found(0.4)
    some = replace(of, usable=torch.arange(len(of.usable)) % 3 == 0)
    pairs = made(some)
    assert {scene for s in range(len(pairs.canvas)) for scene in sources(pairs, s)} <= {0, 3, 6, 9}
    assert any(scene % 3 for s in range(64) for scene in sources(made(of), s)), "all usable: the others come too"
    one = replace(of, usable=torch.arange(len(of.usable)) == 5)
    assert CutAndPaste(64, 0.12, 20).make(one, SIZE, torch.Generator()) is None


def test_made_scenes_are_a_function_of_the_generator() -> None:
    """The same lesson from the same seed, another from another."""
    of = found(0.4)
    assert torch.equal(made(of).canvas, made(of).canvas)
    assert not torch.equal(made(of).canvas, made(of, seed=2).canvas)


def explained(codewords: list[int]) -> tuple[Objects, Terms]:
    """Objects of scenes that are the canvases of ``codewords``, and terms that say so."""
    objects, terms = observed(model_of(), batch=len(codewords))
    best = torch.tensor(codewords)
    canvas = objects.canvases[torch.arange(len(codewords)), best].detach()
    likelihood = torch.zeros_like(terms.log_likelihood).scatter(1, best[:, None], 1e6)
    return replace(objects, canvas=canvas), replace(terms, log_likelihood=likelihood)


def test_a_scene_is_usable_if_one_or_two_objects_explain_it() -> None:
    """None, one, two and three objects; a scene of which most is left over teaches nothing."""
    objects, terms = explained([0b000, 0b010, 0b101, 0b111, 0b010])
    spoilt = objects.canvas.clone()
    spoilt[4] += 1
    of = Explained.of(replace(objects, canvas=spoilt), terms)
    assert of.present.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 0]]
    assert of.usable.tolist() == [False, True, True, False, False]
    assert Explained.of(objects, terms).usable[4], "before it was spoilt it was usable"


def test_nothing_is_learnt_through_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lesson of a pass moves neither that pass's objects nor the decoder, but map, poses and glimpse encoder."""
    monkeypatch.setattr(cut_and_paste, "UNEXPLAINED", float("inf"))
    model = model_of()
    objects, _ = observed(model, batch=8)
    _, terms = explained([0b001, 0b011, 0b100, 0b010, 0b110, 0b101, 0b001, 0b010])
    ink = torch.zeros_like(objects.canvas)
    ink[:, 7:9, 7:9] = 0.3  # stays on the canvas wherever a shift takes it
    objects = replace(objects, canvas=ink)
    for t in (objects.logits, objects.z_where, objects.q_what.base_dist.loc, objects.q_where.base_dist.loc):
        t.retain_grad()
    teacher = CutAndPaste(8, 0.0, 60)
    loss = teacher(model, objects, terms, torch.Generator().manual_seed(0))
    assert loss.requires_grad
    loss.backward()
    assert objects.logits.grad is None
    assert objects.z_where.grad is None
    assert objects.q_where.base_dist.loc.grad is None
    assert objects.q_what.base_dist.loc.grad is None
    assert all(p.grad is None for p in model.decoder.parameters())
    for taught in (model.network.map, model.network.pose, model.encoder, model.what):
        assert all(p.grad is not None and p.grad.any() for p in taught.parameters())


def test_fewer_than_two_usable_scenes_make_a_loss_of_zero() -> None:
    """Of scenes without objects there is nothing to make."""
    model = model_of()
    objects, _ = observed(model, batch=4)
    _, terms = explained([0, 0, 0b001, 0])
    loss = CutAndPaste(8, 0.12, 20)(model, objects, terms, torch.Generator())
    assert loss.item() == 0
    assert not loss.requires_grad


class Oracle:
    """A model that knows all there is of ``pairs``, or is ``off`` by so many pixels and ``unlike`` in its looks."""

    SD = 0.1
    offset = 0.18 * SIZE

    def __init__(self, pairs: Pairs, off: float = 0.0, unlike: float = 0.0, missing: bool = False) -> None:
        self.pairs, self.off, self.unlike = pairs, torch.tensor([0.0, off, 0.0]).double(), unlike
        seen = Map(torch.full((len(pairs.canvas), SIDE // 2, SIDE // 2), -30.0).double(), torch.zeros(1))
        cells = seen.cells(pairs.where[..., 1:])
        logits = seen.logits.flatten(1).scatter_reduce(1, cells, 60 * pairs.present - 30, "amax")
        if missing:
            logits = torch.full_like(logits, -30.0)
        self.seen = Map(logits.unflatten(1, seen.logits.shape[1:]), seen.features)

    def map(self, canvas: Tensor) -> Map:
        return self.seen

    def where(self, seen: Map, cells: Tensor) -> tuple[Tensor, Any]:
        return cells, normal(self.pairs.where + self.off, torch.full_like(self.pairs.where, self.SD))

    def look(self, canvas: Tensor, z_where: Tensor) -> tuple[Tensor, Any]:
        what = self.pairs.what[self.pairs.present > 0] + self.unlike
        return canvas, normal(what, torch.ones_like(what))

    def loss(self) -> float:
        itself: Any = SimpleNamespace(map=self.map, where=self.where, look=self.look, offset=self.offset)
        return lesson(itself, itself, self.pairs).item()


def test_a_perfect_model_pays_only_the_entropy_of_its_poses_and_a_wrong_one_what_it_is_off() -> None:
    """Three numbers of a pose at log N(0 | 0, sd) each; d pixels off cost d^2 / 2 sd^2, looks their squared error."""
    pairs = made(found(0.4))
    each = pairs.present.sum().item() / len(pairs.canvas)  # objects per made scene
    perfect = Oracle(pairs).loss()
    density = normal(torch.zeros(3), torch.full((3,), Oracle.SD)).log_prob(torch.zeros(3)).item()
    assert perfect == pytest.approx(-each * density, abs=1e-6)
    for off in (0.5, 2.0):
        assert Oracle(pairs, off=off).loss() - perfect == pytest.approx(each * off**2 / (2 * Oracle.SD**2), rel=1e-6)
    assert Oracle(pairs, unlike=0.3).loss() - perfect == pytest.approx(each * 0.5 * 2 * 0.3**2, rel=1e-6)
    assert Oracle(pairs, missing=True).loss() - perfect > 20 * each, "an object that the map does not see"


def test_the_loss_of_the_places_is_the_focal_cross_entropy_cell_by_cell() -> None:
    """Zhou et al. 2019, equation 1, written out; cells near a centre are forgiven, cells far away are not."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    seen = Map(logits, torch.zeros(1))
    centres = torch.tensor([[[2.5, 3.2], [6.9, 0.4]], [[4.1, 5.0], [1.0, 1.0]]]).double()
    present, radius = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).double(), 1.5
    expected = 0.0
    for s in range(2):
        there = [centres[s, i].tolist() for i in range(2) if present[s, i]]
        for row in range(3):
            for column in range(4):
                p = logits[s, row, column].sigmoid()
                if any(int(x // 2) == column and int(y // 2) == row for x, y in there):
                    expected -= (1 - p) ** 2 * p.log()
                else:
                    apart = min((2 * column + 1 - x) ** 2 + (2 * row + 1 - y) ** 2 for x, y in there)
                    heat = torch.tensor(-0.5 * apart / (0.5 * radius) ** 2).exp()
                    expected -= (1 - heat) ** 4 * p**2 * (1 - p).log()
    loss = places_loss(seen, centres, seen.cells(centres), present, radius)
    assert loss.item() == pytest.approx(float(expected))
    wrong = places_loss(seen, centres, seen.cells(centres), torch.ones_like(present), radius)
    assert wrong.item() != pytest.approx(float(expected), rel=1e-3), "an object that is not there is no centre"
