"""crop, paste and boxes against torch's own spatial transformer and against geometry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from airctl.model import boxes, crop, paste

POSES = {
    "inside": [[3.0, 0.2, -0.4], [2.0, 0.0, 0.0], [1.3, 0.1, 0.05]],
    "partly outside": [[3.0, 2.6, 0.0], [2.0, -1.5, 1.7], [3.0, -2.9, -3.1]],
    "wholly outside": [[3.0, 5.0, 0.0], [2.0, 9.0, -9.0], [1.0, 0.0, -4.0]],
    "glimpse larger than the canvas": [[0.5, 0.1, 0.2], [0.9, -0.3, 0.4], [0.25, 0.0, 0.0]],
    "mirrored": [[-2.0, 0.3, 0.1], [-0.7, 0.0, 0.4]],
}


def random_poses(number: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    poses = torch.randn(number, 3, generator=generator) * torch.tensor([1.0, 2.0, 2.0])
    return poses + torch.tensor([3.0, 0.0, 0.0])


def torch_crop(canvas: Tensor, z_where: Tensor, glimpse: int) -> Tensor:
    scale, x, y = z_where.unbind(1)
    zero = torch.zeros_like(x)
    theta = torch.stack([1 / scale, zero, x / scale, zero, 1 / scale, y / scale], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(theta), 1, glimpse, glimpse], align_corners=False)
    return F.grid_sample(canvas[:, None], grid, "bilinear", "zeros", align_corners=False)[:, 0]


def torch_paste(objects: Tensor, z_where: Tensor, canvas: int) -> Tensor:
    scale, x, y = z_where.unbind(1)
    zero = torch.zeros_like(x)
    theta = torch.stack([scale, zero, -x, zero, scale, -y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(theta), 1, canvas, canvas], align_corners=False)
    return F.grid_sample(objects[:, None], grid, "bilinear", "zeros", align_corners=False)[:, 0]


def worst(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item()


@pytest.mark.parametrize("poses", POSES.values(), ids=POSES.keys())
@pytest.mark.parametrize(("canvas", "glimpse"), [(50, 28), (17, 6), (20, 31)])
def test_crop_and_paste_equal_grid_sample(poses: list[list[float]], canvas: int, glimpse: int) -> None:
    """Both equal affine_grid + grid_sample to 1e-5, whatever part of the glimpse lies on the canvas."""
    z_where = torch.tensor(poses)
    scenes = torch.rand(len(poses), canvas, canvas, generator=torch.Generator().manual_seed(0))
    objects = torch.rand(len(poses), glimpse, glimpse, generator=torch.Generator().manual_seed(1))
    assert worst(crop(scenes, z_where, glimpse), torch_crop(scenes, z_where, glimpse)) < 1e-5
    assert worst(paste(objects, z_where, canvas), torch_paste(objects, z_where, canvas)) < 1e-5


def test_crop_and_paste_equal_grid_sample_at_random_poses() -> None:
    """The same at 300 random poses in float64, which also shows that the agreement is exact and not a tolerance."""
    z_where = random_poses(300).double()
    z_where = z_where[z_where[:, 0].abs() > 0.1]
    scenes = torch.rand(len(z_where), 23, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert worst(crop(scenes, z_where, 9), torch_crop(scenes, z_where, 9)) < 1e-11
    assert worst(paste(scenes, z_where, 31), torch_paste(scenes, z_where, 31)) < 1e-11


def test_the_comparison_sees_a_swapped_axis_and_aligned_corners() -> None:
    """Negative control: x taken for y, and the other convention for corners, are far outside the tolerance."""
    z_where = torch.tensor(POSES["inside"])
    scenes = torch.rand(3, 50, 50, generator=torch.Generator().manual_seed(0))
    swapped = torch_crop(scenes, z_where[:, [0, 2, 1]], 28)
    assert worst(crop(scenes, z_where, 28), swapped) > 0.1
    theta = torch.eye(2, 3).expand(3, 2, 3) / z_where[:, :1, None]
    grid = F.affine_grid(theta, [3, 1, 28, 28], align_corners=True)
    aligned = F.grid_sample(scenes[:, None], grid, "bilinear", "zeros", align_corners=True)[:, 0]
    centred = z_where * torch.tensor([1.0, 0.0, 0.0])
    assert worst(crop(scenes, centred, 28), aligned) > 0.1


def test_a_glimpse_wholly_outside_is_empty() -> None:
    """Nothing wraps around: outside the canvas is 0, and an object pasted there leaves no trace."""
    z_where = torch.tensor(POSES["wholly outside"])
    assert crop(torch.ones(3, 50, 50), z_where, 28).count_nonzero() == 0
    assert paste(torch.ones(3, 28, 28), z_where, 50).count_nonzero() == 0


def test_gradients_are_those_of_finite_differences() -> None:
    """The gradients in pixels and in the pose agree with finite differences in float64, partly outside included."""
    generator = torch.Generator().manual_seed(3)
    scenes = torch.rand(3, 7, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    z_where = torch.tensor([[2.1, 0.13, -0.27], [0.7, 0.31, 0.22], [1.9, 1.57, -1.33]], dtype=torch.float64)
    z_where.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, z: crop(x, z, 4), (scenes, z_where))
    assert torch.autograd.gradcheck(lambda y, z: paste(y, z, 9), (scenes, z_where))
    pose_gradient = torch.autograd.grad(paste(scenes, z_where, 9).square().sum(), z_where)[0]
    assert (pose_gradient.abs() > 1e-3).all(), "a gradient of zeros would pass gradcheck of a constant"


def test_pasting_conserves_the_sum_where_pixels_are_of_one_size() -> None:
    """With scale = D / G an object is moved, not resized: its sum stays, at every sub-pixel shift inside the canvas."""
    objects = torch.rand(20, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centres = (torch.rand(20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5) * 2
    inside = torch.cat([torch.full((20, 1), 18 / 6, dtype=torch.float64), centres], 1)
    torch.testing.assert_close(paste(objects, inside, 18).sum((1, 2)), objects.sum((1, 2)))
    leaving = inside + torch.tensor([0.0, 4.0, 0.0])
    assert (paste(objects, leaving, 18).sum((1, 2)) < 0.9 * objects.sum((1, 2))).all(), "what leaves is lost"


def test_crop_takes_back_what_paste_put_there() -> None:
    """At a pose aligned with the pixels, paste copies the object's pixels and crop reads the very same."""
    objects = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z_where = torch.tensor([[3.0, 1.0, -2.0]], dtype=torch.float64)  # centre at pixel edge 12 in x and 3 in y
    pasted = paste(objects, z_where, 18)
    torch.testing.assert_close(pasted[:, 0:6, 9:15], objects)
    torch.testing.assert_close(crop(pasted, z_where, 6), objects)


def covered(profile: Tensor) -> list[bool]:
    return (profile > 0.5 * profile.max()).tolist()


@pytest.mark.parametrize(
    "pose", [[3.0, 0.4, -0.7], [1.5, 0.2, 0.3], [2.2, 1.6, -1.4], [4.0, 2.87, 1.13], [0.8, 0.3, 0.0]]
)
def test_boxes_are_where_paste_puts_a_full_object(pose: list[float]) -> None:
    """The pixels whose centre lies within the box are those that an all-ones object covers by more than half."""
    z_where = torch.tensor([pose], dtype=torch.float64)
    pasted = paste(torch.ones(1, 8, 8, dtype=torch.float64), z_where, 40)[0]
    x0, y0, x1, y1 = boxes(z_where, 40)[0].tolist()
    assert covered(pasted.amax(0)) == [x0 < j + 0.5 < x1 for j in range(40)]
    assert covered(pasted.amax(1)) == [y0 < j + 0.5 < y1 for j in range(40)]
    assert covered(pasted.amax(0)) != [x0 + 1 < j + 0.5 < x1 + 1 for j in range(40)] or x1 > 41, "one pixel off is seen"


def test_boxes_have_the_canvas_side_over_scale_as_their_side() -> None:
    """``scale`` is canvas side / glimpse side and the centre lies at (x, y) / scale: pixels, any leading shape."""
    z_where = torch.tensor([[[2.0, 0.0, 0.0], [5.0, 1.0, -1.0]]])
    expected = torch.tensor([[[25.0, 25.0, 75.0, 75.0], [50.0, 30.0, 70.0, 50.0]]])
    torch.testing.assert_close(boxes(z_where, 100), expected)
