"""Whether an answer can be trusted: is the picture like those that the model has learnt from, was there a limit?

A model draws what it has learnt to draw, whatever it is shown. How much of the picture around an object it leaves
unexplained, in squared brightness and as a share of what is there, tells whether that was the right thing to draw: of
scenes that were held out in training it is known how much is usual. A picture is unlike them if too many of its objects
are worse explained than nine in ten of those were, or if more of it is left over than of nearly all of those scenes.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

from airctl.inference.answer import Answer
from airctl.inference.images import Images
from airctl.inference.passes import passes
from airctl.model import AIR, Objects, Proposals
from airctl.model.windows import WindowLayers
from airctl.results.found import AT_LIMIT, FINE, UNLIKE

WORSE, WORST = 0.9, 0.99  # quantiles of what is left around one object
LEFT_OVER = 0.999  # quantile of what is left of a scene
SHARE = 0.45  # of the objects of a picture that may be worse explained than WORSE says
DARK = 1e-3  # squared brightness of a window that is as good as black
CHANCE = 0.005  # with which a picture like those of the training has so many of them


def left_over(objects: Objects, answer: Answer) -> tuple[Tensor, Tensor]:
    """What ``answer`` leaves unexplained: around each object, and of all, squared brightness per pixel.

    [B, M, 2], squared brightness and its share of what is there, in the answer's order; and [B]. NaN around objects
    that have no windows, and around those that the border may cut off: of a part less is left over than of the whole.
    """
    left = objects.canvas - answer.drawn
    per_pixel = left.square().mean((1, 2))
    if not isinstance(objects.layers, WindowLayers):
        return answer.each.new_full((*answer.each.shape, 2), torch.nan), per_pixel
    windows = objects.layers.windows
    squares, bright = (windows.patches(x).square().sum((2, 3)) for x in (left, objects.canvas))
    around = torch.stack([squares, squares / bright.clamp_min(DARK)], -1)
    height, width = left.shape[1:]
    around = around.masked_fill(~inside(objects.boxes, height, width)[..., None], torch.nan)
    return around.gather(1, answer.order[..., None].expand(-1, -1, 2)), per_pixel


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Which of ``boxes`` (x0, y0, x1, y1) [..., 4] lie within a canvas of that size, bool [...]."""
    return (boxes[..., :2] >= 0).all(-1) & (boxes[..., 2] <= width) & (boxes[..., 3] <= height)


def usual(around: Tensor, per_pixel: Tensor, counts: Tensor) -> Tensor:
    """What is usual in scenes held out, [5]; NaN if nothing is known.

    WORSE and then WORST of both numbers around an object, and LEFT_OVER of those per pixel. ``around`` [S, M, 2] and
    ``per_pixel`` [S] are ``left_over`` of them, ``counts`` [S] how many objects were found.
    """
    found = around[torch.arange(around.shape[1], device=counts.device) < counts[:, None]].double()
    found = found[found.isfinite().all(1)]
    if not len(found) or not len(per_pixel):
        return torch.full((5,), torch.nan)
    levels = torch.quantile(found, found.new_tensor([WORSE, WORST]), dim=0)
    return torch.cat([levels.flatten(), torch.quantile(per_pixel.double(), LEFT_OVER)[None]]).float().cpu()


@torch.no_grad()
def usual_of(model: AIR, images: Tensor | Images, log_p: Tensor) -> Tensor:
    """``usual`` of the scenes ``images`` (uint8 [S, H, W]) under a count prior ``log_p`` [M + 1]."""
    parts = []
    for objects, terms in passes(model, images, log_p, model.mean_noise):
        answer = Answer.of(model, objects, terms)
        parts.append((*left_over(objects, answer), answer.counts))
    return usual(*(torch.cat(part) for part in zip(*parts, strict=True)))


def verdict(model: AIR, around: np.ndarray, per_pixel: float, at_limit: bool) -> str:
    """``UNLIKE``, ``AT_LIMIT`` or ``FINE`` for a picture with what is left ``around`` its n objects [n, 2]."""
    if isinstance(model.network, Proposals) and _unlike(model.network.usual.tolist(), around, per_pixel):
        return UNLIKE
    return AT_LIMIT if at_limit else FINE


def _unlike(usual: list[float], around: np.ndarray, per_pixel: float) -> bool:
    worse, worst, left = usual[:2], usual[2:4], usual[4]
    around = around[np.isfinite(around).all(1)]
    if np.isnan(left):
        return False
    if per_pixel > left:
        return True
    number = len(around)
    if number < 3:  # too few to compare shares: all of them must be among the worst
        return number > 0 and bool((around > worst).all())
    many = int((around > worse).sum(0).max())
    return many > SHARE * number and bool(binomtest(many, number, 1 - WORSE, "greater").pvalue < CHANCE)
