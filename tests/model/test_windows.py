"""Cropping and pasting in small windows against the same on whole canvases, and their gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from airctl.model import InPixels
from airctl.model.windows import WindowLayers, Windows, shifted

HEIGHT, WIDTH = 19, 27


def poses() -> InPixels:
    return InPixels(8.0, 0.8, 1.35).double()


def wheres(batch: int = 2) -> Tensor:
    """Poses inside, at the edge and beyond it, off the pixel grid, [B, 3, 3]."""
    where = torch.tensor([[0.2, 9.3, 7.6], [-0.7, 26.1, 18.4], [1.1, -1.3, 3.2]]).double()
    return where.expand(batch, 3, 3) + 0.37 * torch.arange(batch)[:, None, None]


def sampled(canvas: Tensor, where: Tensor, side: Tensor, glimpse: int) -> Tensor:
    """torch's own bilinear sampler at the glimpse's pixels, [B, M, G, G]."""
    unit = (torch.arange(glimpse).double() + 0.5) / glimpse - 0.5
    x = where[..., 1, None] + side[..., None] * unit
    y = where[..., 2, None] + side[..., None] * unit
    grid = torch.stack(torch.broadcast_tensors(x[..., None, :] / WIDTH, y[..., :, None] / HEIGHT), -1) * 2 - 1
    batch, number = where.shape[:2]
    source = canvas[:, None].expand(-1, number, -1, -1).flatten(0, 1)[:, None]
    glimpses = F.grid_sample(source, grid.flatten(0, 1), "bilinear", "zeros", align_corners=False)
    return glimpses[:, 0].unflatten(0, (batch, number))


def test_crop_is_torchs_bilinear_sampler() -> None:
    """On a canvas that is no square, inside, at its edge and outside."""
    canvas = torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    where = wheres()
    found = poses().crop(canvas, where, 6)
    torch.testing.assert_close(found, sampled(canvas, where, poses().side(where), 6))
    swapped = where[..., [0, 2, 1]]
    assert not torch.allclose(found, sampled(canvas, swapped, poses().side(where), 6)), "x and y are told apart"


def test_paste_puts_the_glimpse_back_where_it_was_cropped() -> None:
    """A smooth blob that is cropped and pasted again covers the place it came from."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    blob = torch.exp(-((x - 9.3) ** 2 + (y - 7.6) ** 2) / 8).double()[None]
    where = torch.tensor([[[0.9, 9.3, 7.6]]]).double()
    again = poses().paste(poses().crop(blob, where, 12), where, blob).dense()[0, 0]
    inside = again > 0
    assert inside.sum() > 40
    assert (again - blob[0])[inside].abs().mean() < 0.03
    assert (again.roll(1, 0) - blob[0])[inside].abs().mean() > 0.05, "a pixel off is told apart"


def test_gradients_of_crop_paste_and_gram_are_those_of_finite_differences() -> None:
    """In the pose and in the objects, in float64; the Gram matrix has a backward pass of its own."""
    canvas = torch.rand(1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    where = wheres(1).requires_grad_()
    drawn = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: poses().crop(canvas, w, 4), where)
    assert torch.autograd.gradcheck(lambda w, d: poses().paste(d, w, canvas).dense().sum(1), (where, drawn))
    assert torch.autograd.gradcheck(lambda d: poses().paste(d, wheres(1), canvas).products(canvas), drawn)


@pytest.mark.parametrize("apart", [0.0, 3.0, 9.0, 30.0])
def test_the_gram_matrix_is_that_of_whole_canvases(apart: float) -> None:
    """Whatever the distance of two objects, from none to beyond their windows."""
    where = torch.tensor([[[0.0, 8.2, 9.1], [0.0, 8.2 + apart, 8.0]]]).double()
    canvas = torch.zeros(1, 40, 60).double()
    layers = poses().paste(torch.rand(1, 2, 5, 5, generator=torch.Generator().manual_seed(3)).double(), where, canvas)
    flat = layers.dense().flatten(2)
    torch.testing.assert_close(layers.products(canvas)[1], flat @ flat.mT)
    assert (layers.products(canvas)[1][0, 0, 1] == 0) == (apart >= 9)


def test_what_is_kept_of_an_object_does_not_grow_with_the_canvas() -> None:
    """Windows of a picture four times as wide are as large; whole canvases would not be."""
    small, large = torch.zeros(1, 30, 30).double(), torch.zeros(1, 30, 120).double()
    drawn = torch.rand(1, 3, 5, 5).double()
    kept = [poses().paste(drawn, wheres(1), canvas) for canvas in (small, large)]
    assert kept[0].drawn.numel() == kept[1].drawn.numel()
    assert kept[1].dense().numel() == 4 * kept[0].dense().numel()


def test_ink_boxes_are_those_of_the_canvas() -> None:
    """The box of an object's ink in its window, in pixels of the picture; zeros for one that draws nothing."""
    canvas = torch.zeros(1, HEIGHT, WIDTH).double()
    drawn = torch.ones(1, 3, 5, 5).double()
    drawn[0, 2] = 0
    layers = poses().paste(drawn, wheres(1), canvas)
    boxes = layers.ink_boxes(0.5)[0]
    ink = layers.dense()[0, 0] > 0.5
    rows, columns = ink.any(1).nonzero()[:, 0], ink.any(0).nonzero()[:, 0]
    assert boxes[0].tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert boxes[2].tolist() == [0, 0, 0, 0]


def test_shifted_moves_whole_scenes() -> None:
    """Down and right by whole pixels, black from outside."""
    canvas = torch.arange(2 * 3 * 4).reshape(2, 3, 4).double()
    moved = shifted(canvas, torch.tensor([1, 0]), torch.tensor([[1, 2], [-1, 0]]))
    expected = torch.zeros(2, 3, 4).double()
    expected[0, 1:, 2:] = canvas[1, :-1, :-2]
    expected[1, :-1] = canvas[0, 1:]
    assert torch.equal(moved, expected)


def test_the_corner_is_a_whole_pixel_and_the_rest_is_in_the_hats() -> None:
    """A pose moved by one pixel moves the window; by a tenth, only what is drawn in it."""
    side = torch.full((1, 1), 6.0).double()
    one, two, three = (Windows.around(torch.tensor([[[9.0 + d, 9.0]]]).double(), side, 10) for d in (0.0, 1.0, 0.1))
    assert (two.corner - one.corner).tolist() == [[[1, 0]]]
    assert torch.equal(one.corner, three.corner)
    drawn = torch.rand(1, 1, 5, 5).double()
    assert isinstance(WindowLayers(one, one.paste(drawn, 30, 30), 30, 30), WindowLayers)
    assert torch.equal(one.paste(drawn, 30, 30), two.paste(drawn, 30, 30))
    assert not torch.equal(one.paste(drawn, 30, 30), three.paste(drawn, 30, 30))


def spread(drawn: Tensor, where: Tensor, side: Tensor, height: int, width: int) -> Tensor:
    """Each object on a canvas of its own by torch's bilinear sampler at the canvas's pixels, [B, M, H, V]."""
    x = (torch.arange(width).double() + 0.5 - where[..., 1, None]) / side[..., None] * 2  # -1, 1: edges of the glimpse
    y = (torch.arange(height).double() + 0.5 - where[..., 2, None]) / side[..., None] * 2
    grid = torch.stack(torch.broadcast_tensors(x[..., None, :], y[..., :, None]), -1)
    batch, number = where.shape[:2]
    one = F.grid_sample(drawn.flatten(0, 1)[:, None], grid.flatten(0, 1), "bilinear", "zeros", align_corners=False)
    return one[:, 0].unflatten(0, (batch, number))


@pytest.mark.parametrize("glimpse", [8, 11, 14])
def test_paste_is_torchs_bilinear_sampler_on_the_whole_canvas(glimpse: int) -> None:
    """Windows lose nothing of an object: inside, at the edges and beyond, the smallest and the largest."""
    canvas = torch.zeros(2, HEIGHT, WIDTH).double()
    drawn = torch.rand(2, 4, glimpse, glimpse, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    largest = torch.tensor([[[40.0, 13.5, 9.9]], [[-40.0, 12.1, 10.3]]]).double()
    where = torch.cat([wheres(), largest], 1)
    layers, expected = poses().paste(drawn, where, canvas), spread(drawn, where, poses().side(where), HEIGHT, WIDTH)
    torch.testing.assert_close(layers.dense(), expected)
    presence = torch.tensor([[0.3, 1.0, 0.0, 0.7]]).double().expand(2, 4)
    torch.testing.assert_close(layers.sum(presence), (presence[..., None, None] * expected).sum(1))
    swapped = spread(drawn, where[..., [0, 2, 1]], poses().side(where), HEIGHT, WIDTH)
    assert not torch.allclose(layers.dense(), swapped), "x and y are told apart"


def test_a_window_too_narrow_for_its_object_is_caught() -> None:
    """Negative control: with four pixels less the windows cut the largest object off."""
    narrow = poses()
    narrow.window -= 4
    where, drawn = torch.tensor([[[40.0, 13.5, 9.9]]]).double(), torch.ones(1, 1, 11, 11).double()
    expected = spread(drawn, where, narrow.side(where), HEIGHT, WIDTH)
    assert not torch.allclose(narrow.paste(drawn, where, torch.zeros(1, HEIGHT, WIDTH)).dense(), expected)


def test_the_gradient_of_the_gram_matrix_does_not_take_it_for_symmetric() -> None:
    """G_ij alone teaches both its objects, as on whole canvases; half of that gradient is told apart."""
    drawn = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    where = torch.tensor([[[0.2, 9.3, 7.6], [0.0, 11.2, 9.9], [0.5, 14.0, 8.0]]]).double()
    canvas = torch.zeros(1, HEIGHT, WIDTH).double()
    layers = poses().paste(drawn, where, canvas)
    upstream = torch.rand(1, 3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    flat = layers.dense().flatten(2)
    (right,) = torch.autograd.grad((upstream * (flat @ flat.mT)).sum(), drawn, retain_graph=True)
    (found,) = torch.autograd.grad((upstream * layers.products(canvas)[1]).sum(), drawn, retain_graph=True)
    (half,) = torch.autograd.grad((upstream * (flat.detach() @ flat.mT)).sum(), drawn)
    torch.testing.assert_close(found, right)
    assert not torch.allclose(found, half)


def kept_for_backward(number: int, width: int) -> tuple[int, int]:
    """Elements that autograd keeps for crop, paste and Gram of ``number`` objects; the same on whole canvases."""
    canvas = torch.rand(1, 30, width, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    where = torch.tensor([0.1, 9.0, 9.0]).double().expand(1, number, 3).clone().requires_grad_()
    sizes: dict[int, int] = {}

    def count(saved: Tensor) -> Tensor:
        sizes[saved.data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    def of(dense: bool) -> int:
        sizes.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved):
            layers = poses().paste(poses().crop(canvas, where, 6), where, canvas)
            flat = layers.dense().flatten(2)
            _ = flat @ flat.mT if dense else layers.products(canvas)
        return sum(sizes.values())

    return of(False), of(True)


def test_the_memory_of_a_training_step_does_not_know_the_canvas() -> None:
    """What is kept for the gradient: as much on a canvas ten times as wide; whole canvases keep each new pixel."""
    small, large = kept_for_backward(3, 30), kept_for_backward(3, 300)
    assert small[0] == large[0]
    assert large[1] - small[1] == 3 * 30 * 270 * 8
