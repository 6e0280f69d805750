"""Boxes: geometry by hand, and a perfect model that scores 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from airctl.evaluation.box_accuracy import average_precision, iou, match
from airctl.model.placed import ink_boxes


def test_the_ink_box_is_tight() -> None:
    """A rectangle of ink gives its own edges, the far ones exclusive; no ink gives an empty box."""
    image = torch.zeros(2, 9, 9)
    image[0, 2:5, 3:8] = 0.5
    boxes = ink_boxes(image, 0.1)
    assert boxes[0].tolist() == [3, 2, 8, 5]
    assert boxes[1, 0] == boxes[1, 2]
    image[0, 8, 8] = 0.05  # fainter than ink
    assert ink_boxes(image, 0.1)[0].tolist() == [3, 2, 8, 5]


def test_iou_by_hand() -> None:
    """Half of each of two equal boxes in common is a third; apart is 0; the same is 1; an empty box has none."""
    a = np.array([[0, 0, 4, 2]])
    b = np.array([[2, 0, 6, 2], [4, 0, 8, 2], [0, 0, 4, 2], [1, 1, 1, 1]])
    assert iou(a, b)[0] == pytest.approx([1 / 3, 0, 1, 0])


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (3, 3), (0, 2), (2, 0)])
def test_a_match_uses_nothing_twice_and_takes_the_largest_first(shape: tuple[int, int]) -> None:
    """As many pairs as the shorter side has, in falling order, the first being the largest overlap of all."""
    overlaps = np.random.default_rng(sum(shape)).random(shape)
    pairs = match(overlaps)
    assert len(pairs) == min(shape)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    values = [overlaps[pair] for pair in pairs]
    assert values == sorted(values, reverse=True)
    assert not values or values[0] == overlaps.max()


def test_average_precision_by_hand() -> None:
    """All right is 1, none 0; right, wrong, right of two objects is (1 + 2/3) / 2; a missed object costs its recall."""
    scores = np.array([0.9, 0.8, 0.7])
    assert average_precision(scores, np.array([True, True, True]), 3) == 1
    assert average_precision(scores, np.array([False] * 3), 3) == 0
    assert average_precision(scores, np.array([True, False, True]), 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, np.array([True, True, True]), 4) == pytest.approx(3 / 4)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 2) == 0
