"""Pictures of any size: tiles, windows and blocks against the model's own pass over one canvas."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from airctl.config import override, preset
from airctl.errors import ConfigError
from airctl.inference import tiles, whole
from airctl.inference.answer import Answer
from airctl.inference.overlaps import overlapping, products
from airctl.inference.tiles import Candidates, candidates
from airctl.inference.whole import WholePicture, find_in_whole
from airctl.model import AIR
from airctl.model.proposals import CELL
from airctl.objectives import terms_of

SETTINGS = (
    "model.canvas=40",
    "model.object_size=12",
    "model.glimpse=8",
    "model.what=4",
    "model.glimpse_hidden=9",
    "network.reading_temperature=3",
)


@pytest.fixture
def model() -> AIR:
    """An untrained model, float64, whose map has many hills and whose objects differ."""
    torch.manual_seed(0)
    model = AIR(override(preset("fast"), SETTINGS)).double()
    for layer in (*model.network.map.layers, model.network.map.presence, model.network.pose[2]):
        if hasattr(layer, "weight"):
            layer.weight.data *= 2.5
    return model


def blobs(height: int, width: int, seed: int = 0) -> Tensor:
    """A picture of discs, float64 [height, width], one for every 150 pixels on average."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + 0.5
    picture = np.zeros((height, width))
    for _ in range(height * width // 150):
        r, top, left = rng.uniform(2, 5), rng.uniform(0, height), rng.uniform(0, width)
        picture = np.maximum(picture, np.clip(r - np.hypot(y - top, x - left), 0, 1) * rng.uniform(0.5, 1))
    return torch.from_numpy(picture)


def some(seen: Candidates, most: int) -> Candidates:
    """The ``most`` likely ones, in the order of the picture."""
    return seen.at(seen.logits.topk(min(most, len(seen.cells))).indices.sort().values)


def same(a: WholePicture, b: WholePicture) -> bool:
    """Whether the same objects were found."""
    return (
        len(a.sets.members) == len(b.sets.members)
        and bool((a.sets.members == b.sets.members).all())
        and np.array_equal(a.boxes, b.boxes)
        and np.allclose(a.sets.present, b.sets.present, atol=1e-9)
        and np.allclose(a.drawn, b.drawn, atol=1e-6)
    )


@pytest.mark.parametrize("shape", [(40, 40), (33, 46)])
def test_a_small_picture_is_read_as_a_scene_is(model: AIR, shape: tuple[int, int], monkeypatch: Any) -> None:
    """With the same proposals p(n | x), the set and its canvas are those of the sum over all their subsets."""
    model.config = override(model.config, ["model.canvas=0"])  # the prior of z_where is that of this picture
    picture = blobs(*shape)
    chosen = some(candidates(model.network, picture, 512), 9)
    assert len(chosen.cells) == 9
    monkeypatch.setattr(whole, "candidates", lambda *arguments: chosen)
    flat = chosen.cells[:, 0] * ((shape[1] + 1) // CELL) + chosen.cells[:, 1]
    monkeypatch.setattr(model.network, "choose", lambda *arguments: flat[None])
    noise = model.mean_noise(1, 9)
    with torch.no_grad():
        objects = model(picture[None], noise)
        answer = Answer.of(model, objects, terms_of(objects, model.count(9), model.likelihood))
    found = find_in_whole(model, picture)
    kept = answer.log_count[0, found.sets.first :][: len(found.sets.log_count)]
    np.testing.assert_allclose(found.sets.log_count, kept.numpy(), atol=1e-8)
    assert found.count == int(answer.counts[0]) > 0
    taken = answer.order[0, : found.count].numpy()
    np.testing.assert_array_equal(np.sort(taken), np.flatnonzero(found.sets.members))
    np.testing.assert_allclose(np.sort(found.present)[::-1], answer.each[0, : found.count].numpy(), atol=1e-8)
    np.testing.assert_allclose(found.drawn, answer.drawn[0].numpy(), atol=1e-6)
    missed = (picture - answer.drawn[0]).square().sum() / picture.square().sum()
    assert found.fit == pytest.approx(1 - float(missed))


@pytest.mark.parametrize("shape", [(70, 93), (101, 40)])
def test_tiles_of_any_size_give_the_same_objects(model: AIR, shape: tuple[int, int], monkeypatch: Any) -> None:
    """No object twice at a seam, none lost; without the overlap it would be."""
    picture = blobs(*shape, seed=1)
    all_at_once = find_in_whole(model, picture, tile=512)
    assert all_at_once.count >= 5
    assert all(same(find_in_whole(model, picture, tile=tile), all_at_once) for tile in (4, 16, 36, 64))
    monkeypatch.setattr(tiles, "overlap", lambda network: 0)
    assert not same(find_in_whole(model, picture, tile=16), all_at_once)


def test_a_tile_sees_just_what_it_needs(model: AIR, monkeypatch: Any) -> None:
    """The overlap is the reach of the convolutions and of the choice of cells: 8 pixels less change the answer."""
    picture = blobs(80, 80, seed=2)
    enough = tiles.overlap(model.network)
    whole_map = candidates(model.network, picture, 512)
    monkeypatch.setattr(tiles, "overlap", lambda network: enough - 8)
    cut = candidates(model.network, picture, 16)
    assert len(cut.cells) != len(whole_map.cells) or not torch.allclose(cut.logits, whole_map.logits, atol=1e-9)


def test_an_object_is_drawn_alike_anywhere(model: AIR, monkeypatch: Any) -> None:
    """A picture moved by whole cells gives the same objects, moved."""
    monkeypatch.setattr(whole, "AT_ONCE", 7)
    picture = torch.zeros(120, 120, dtype=torch.float64)
    picture[40:70, 40:70] = blobs(30, 30, seed=7)
    moved = picture.roll((16, -12), (0, 1))
    a, b = (find_in_whole(model, p) for p in (picture, moved))
    inner = (a.boxes[:, :2] > 30).all(1) & (a.boxes[:, 2:] < 80).all(1)
    assert inner.sum() >= 3
    expected, boxes = (a.boxes[inner] + [-12, 16, -12, 16]).tolist(), b.boxes.tolist()
    assert all(box in boxes for box in expected)


def test_a_black_picture_has_no_objects(model: AIR) -> None:
    """None proposed, or none that is worth its cost: 0, and nothing left unexplained."""
    black = torch.zeros(50, 70, dtype=torch.float64)
    model.network.temperature = 1.0
    proposed = find_in_whole(model, black)
    assert len(proposed.sets.members) > 0
    assert (proposed.count, proposed.fit, proposed.at_limit) == (0, 1.0, False)
    model.network.map.presence.bias.data -= 100
    for empty in (find_in_whole(model, black), find_in_whole(model, blobs(50, 70))):
        assert (empty.count, len(empty.sets.members), empty.boxes.shape) == (0, 0, (0, 4))
        assert empty.sets.log_count.tolist() == [0.0]
        assert not empty.drawn.any()
    assert empty.fit == 0.0


def test_too_many_proposals_are_said(model: AIR, monkeypatch: Any) -> None:
    """The most likely are looked at, and ``at_limit`` says that there are more."""
    picture = blobs(60, 60)
    free = find_in_whole(model, picture)
    assert not free.at_limit
    monkeypatch.setattr(whole, "CROWD", 0.5)
    limited = find_in_whole(model, picture)
    assert limited.at_limit
    assert len(limited.sets.members) == int(0.5 * 3600 / 12**2) < len(free.sets.members)


def test_an_overflowing_map_of_a_flat_picture_is_bounded(model: AIR) -> None:
    """Where all cells are alike each is a maximum: no more are drawn than the limit."""
    model.network.map.presence.weight.data.zero_()
    model.network.map.presence.bias.data.fill_(1.0)
    found = find_in_whole(model, torch.zeros(80, 80, dtype=torch.float64))
    assert found.at_limit
    assert len(found.sets.members) == int(16 * 6400 / 12**2)


def test_only_models_with_a_map_read_whole_pictures() -> None:
    """A recurrent network knows one canvas size: a sentence says so."""
    recurrent = AIR(override(preset("recurrent"), ["model.canvas=12", "model.glimpse=6"]))
    with pytest.raises(ConfigError, match=r"network\.kind=proposals"):
        find_in_whole(recurrent, torch.zeros(30, 30))


@pytest.mark.parametrize("number", [0, 1, 60])
def test_overlaps_are_found_and_multiplied(number: int) -> None:
    """Just the pairs of windows that share a pixel, each once; their products are those of dense canvases."""
    rng = torch.Generator().manual_seed(number)
    width = 7
    corner = torch.randint(-6, 50, (number, 2), generator=rng)
    drawn = torch.rand(number, width, width, generator=rng, dtype=torch.float64)
    pairs = overlapping(corner, width)
    apart = (corner[:, None] - corner).abs().amax(-1)
    expected = (apart < width).triu(1).nonzero()
    assert sorted(pairs.sort(1).values.tolist()) == expected.tolist()
    dense = torch.zeros(number, 70, 70, dtype=torch.float64)
    for canvas, window, (y, x) in zip(dense, drawn, (corner + 6).tolist(), strict=True):
        canvas[y : y + width, x : x + width] = window
    gram = dense.flatten(1) @ dense.flatten(1).T
    torch.testing.assert_close(products(drawn, corner, pairs), gram[pairs[:, 0], pairs[:, 1]])


class Allocations(TorchDispatchMode):
    """The bytes of the largest tensor that is not a view of another, and of all of them together."""

    largest = 0
    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {value.untyped_storage().data_ptr() for value in args if isinstance(value, Tensor)}
        for value in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(value, Tensor) and value.untyped_storage().data_ptr() not in known:
                self.largest = max(self.largest, value.untyped_storage().nbytes())
                self.total += value.untyped_storage().nbytes()
        return out


def test_memory_and_work_grow_linearly(model: AIR, monkeypatch: Any) -> None:
    """Four times the picture with four times the objects: four times the memory and the work, not sixteen."""
    monkeypatch.setattr(whole, "AT_ONCE", 32)
    monkeypatch.setattr(tiles, "SQUARE", 32)
    spent, found = [], []
    for copies in (2, 4, 8):
        picture = blobs(40, 40, seed=5).repeat(copies, copies)
        with Allocations() as allocations:
            found.append(find_in_whole(model, picture, tile=64))
        spent.append((allocations.largest, allocations.total))
    assert 3 < len(found[2].sets.members) / len(found[1].sets.members) < 4.5
    for before, after in pairwise(spent):
        assert after[0] < 4.5 * before[0]  # not quite four: tiles at the edge of a picture have less overlap
        assert after[1] < 4.5 * before[1]
    pairs = len(found[2].sets.members) ** 2 * 8
    assert spent[2][0] < pairs / 4  # nothing is as large as all pairs would be


def test_a_config_without_a_canvas_takes_the_pictures_own(model: AIR) -> None:
    """Objects cost as much as in training; a model that never knew a canvas takes the picture for it."""
    picture = blobs(60, 60)
    known = find_in_whole(model, picture)
    model.config = replace(model.config, model=replace(model.config.model, canvas=0))
    assert not np.allclose(find_in_whole(model, picture).sets.present, known.sets.present, atol=1e-6)
