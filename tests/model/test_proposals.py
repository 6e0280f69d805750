"""The map of proposals: which cells are chosen, where they are, what exploration adds, canvases of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from airctl.config import Config, override, preset
from airctl.model import AIR, Map, Proposals
from airctl.model.proposals import best_cells

SMALL = ("model.canvas=24", "model.object_size=8", "model.glimpse=6", "model.what=4", "model.glimpse_hidden=8")


def model_of(*settings: str) -> AIR:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config: Config = override(preset("fast"), [*SMALL, "model.num_steps=3", *settings])
        return AIR(config).double()


def scenes(batch: int, height: int = 24, width: int = 24) -> Tensor:
    return torch.rand(batch, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def network(model: AIR) -> Proposals:
    assert isinstance(model.network, Proposals)
    return model.network


def test_the_best_cells_are_local_maxima_and_then_the_next_best() -> None:
    """A neighbour of a maximum waits until the maxima are used up; dense ones come last, by their scores alone."""
    scores = torch.zeros(1, 4, 5)
    scores[0, 1, 1], scores[0, 1, 2], scores[0, 3, 4] = 9.0, 8.0, 3.0
    assert best_cells(scores, 2, radius=1).tolist() == [[6, 19]]
    assert best_cells(scores, 2, radius=1, dense=1).tolist() == [[6, 19, 7]]
    assert best_cells(scores, 2, radius=0).tolist() == [[6, 7]], "without suppression the neighbour comes second"


def test_a_cell_and_its_middle_name_each_other() -> None:
    """``cells`` of ``centres`` is the cell; beyond the edge it is the nearest."""
    seen = Map(torch.zeros(1, 5, 7), torch.zeros(1, 3, 4, 2))
    every = torch.arange(35)
    assert torch.equal(seen.cells(seen.centres(every)), every)
    assert seen.centres(torch.tensor([8])).tolist() == [[3.0, 3.0]]
    assert seen.cells(torch.tensor([[-4.0, 100.0]])).tolist() == [28]


@pytest.mark.parametrize(("height", "width"), [(24, 24), (23, 30), (9, 41)])
def test_canvases_of_any_size_and_shape(height: int, width: int) -> None:
    """A map of a cell for every two pixels, rounded up, and objects on canvases of that size."""
    model, canvas = model_of(), scenes(2, height, width)
    seen = network(model).map(canvas)
    assert seen.logits.shape == (2, (height + 1) // 2, (width + 1) // 2)
    objects = model(canvas, model.mean_noise(2))
    assert objects.layers.sum(torch.ones_like(objects.logits)).shape == (2, height, width)
    assert (objects.z_where[..., 1] <= width + 2).all()
    assert (objects.z_where[..., 2] <= height + 2).all()


def test_the_map_moves_with_the_scene() -> None:
    """Four pixels to the right are two cells, away from the edges."""
    model, canvas = model_of(), torch.zeros(1, 96, 96).double()
    canvas[0, 42:50, 42:48] = scenes(1, 8, 6)[0]
    before, after = network(model).map(canvas).logits, network(model).map(canvas.roll(4, 2)).logits
    torch.testing.assert_close(before[0, 14:34, 14:34], after[0, 14:34, 16:36])
    assert not torch.allclose(before[0, 14:34, 14:34], after[0, 14:34, 14:34])


def test_exploring_is_a_function_of_its_generator_and_the_pull_fades() -> None:
    """The same numbers from the same seed; ink pulls at the first step, and no more once its steps are over."""
    model, canvas = model_of("network.pull=50"), torch.zeros(1, 24, 24).double()
    canvas[0, 4:10, 4:10] = 1

    def explore(step: int | None, seed: int = 0) -> Tensor:
        return network(model).explore(canvas, torch.Generator().manual_seed(seed), step)

    assert torch.equal(explore(0), explore(0))
    assert not torch.equal(explore(0), explore(0, seed=1))
    pull = explore(0) - explore(None)
    assert pull[0, 3, 3] > 20
    assert pull[0, 10, 10] == 0
    assert torch.equal(explore(10_000), explore(None))
    half = explore(68) - explore(None)
    assert half[0, 3, 3].item() == pytest.approx(pull[0, 3, 3].item() / 2, rel=1e-6)


def test_scores_choose_where_to_look() -> None:
    """What noise adds to the map decides which cells propose; it moves no logit."""
    model, canvas = model_of(), scenes(1)
    noise = model.mean_noise(1, 3)
    favourite = torch.zeros(1, 12, 12).double()
    favourite[0, 2, 9] = 100
    chosen = model(canvas, replace(noise, scores=favourite))
    assert (chosen.z_where[0, 0, 1:] - torch.tensor([19.0, 5.0]).double()).abs().max() < 2
    assert chosen.logits[0, 0] == network(model).map(canvas).logits[0, 2, 9]


def test_counting_looks_at_more_cells_than_training() -> None:
    """M local maxima, and ``dense`` more cells when counting; the first M are the same."""
    model = model_of("network.dense=2")
    assert model.reading_size == 5
    few, more = model(scenes(2), model.mean_noise(2, 3)), model(scenes(2), model.mean_noise(2))
    assert more.logits.shape == (2, 5)
    torch.testing.assert_close(more.z_where[:, :3], few.z_where)


def test_copies_are_passes_of_their_own_and_held_samples_pass_no_gradient() -> None:
    """K of each scene at once are K passes; with ``held`` the encoder learns nothing of the pose."""
    model, canvas = model_of(), scenes(2)
    noise = model.noise(4, torch.Generator().manual_seed(0))
    noise = type(noise)(noise.where.double(), noise.what.double())
    together, apart = model(canvas, noise), model(canvas.repeat_interleave(2, 0), noise)
    torch.testing.assert_close(together.z_what, apart.z_what)
    pose = list(network(model).pose.parameters())
    free = torch.autograd.grad(together.z_what.sum(), pose, retain_graph=True, allow_unused=True)
    held = torch.autograd.grad(model(canvas, noise, held=True).z_what.sum(), pose, allow_unused=True)
    assert any(g is not None and g.any() for g in free)
    assert all(g is None for g in held)


def test_the_logits_of_the_chosen_cells_have_a_gradient(tiny_config: Callable[..., Config]) -> None:
    """What teaches z_pres reaches the map, though the choice itself has none."""
    model = model_of()
    model(scenes(2), model.mean_noise(2, 3)).logits.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network(model).map.parameters())


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 5), (9, 14)])
def test_a_cell_has_its_own_logit_and_the_features_of_its_four(height: int, width: int) -> None:
    """The logit at a flat cell is that of its row and column; which of the four it is follows the features."""
    seen = network(model_of()).map(scenes(2, height, width))
    cells = torch.arange(seen.logits[0].numel()).expand(2, -1)
    logits, features = seen.at(cells)
    for cell in range(cells.shape[1]):
        row, column = divmod(cell, (width + 1) // 2)
        assert torch.equal(logits[:, cell], seen.logits[:, row, column])
        assert torch.equal(features[:, cell, :-4], seen.features[:, row // 2, column // 2])
        assert features[0, cell, -4:].tolist() == [float(2 * (row % 2) + column % 2 == part) for part in range(4)]
    assert not torch.equal(seen.logits[:, 0, 1], seen.logits[:, 1, 0]), "rows and columns are told apart"


def test_the_presence_head_speaks_for_the_cell_that_its_part_names() -> None:
    """Part 1 of the four is the upper right cell: raising its bias raises the logits of odd columns in even rows."""
    model, canvas = model_of(), scenes(1, 12, 20)
    before = network(model).map(canvas).logits
    with torch.no_grad():
        network(model).map.presence.bias[1] += 7
    raised = network(model).map(canvas).logits - before
    expected = torch.zeros_like(before)
    expected[:, ::2, 1::2] = 7
    torch.testing.assert_close(raised, expected)


@pytest.mark.parametrize(("height", "width"), [(23, 31), (24, 9)])
def test_exploring_has_a_number_for_each_cell_of_any_canvas(height: int, width: int) -> None:
    """Odd sides and no squares; of a canvas without ink the pull is nothing."""
    model = model_of()
    dark = torch.zeros(2, height, width).double()
    scores = network(model).explore(dark, torch.Generator().manual_seed(0), 0)
    assert scores.shape == network(model).map(dark).logits.shape
    assert torch.equal(scores, network(model).explore(dark, torch.Generator().manual_seed(0), None))


def test_the_best_cells_are_those_of_brute_force() -> None:
    """Every cell that is the highest of its square comes before any that is not, each kind by its score."""
    scores = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = best_cells(scores, 12, radius=2, dense=4)
    for b in range(3):
        ranked = []
        for row in range(7):
            for column in range(9):
                around = scores[b, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
                ranked.append((bool(scores[b, row, column] == around.max()), float(scores[b, row, column])))
        order = sorted(range(63), key=lambda cell: ranked[cell], reverse=True)
        assert found[b, :12].tolist() == order[:12]
        rest = sorted(set(range(63)) - set(order[:12]), key=lambda cell: ranked[cell][1], reverse=True)
        assert found[b, 12:].tolist() == rest[:4]
        assert sum(highest for highest, _ in ranked) < 12, "there are too few maxima for all"
