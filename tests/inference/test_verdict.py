"""Whether an answer can be trusted: what is usual is not flagged, what is not like it is, and limits are said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from airctl.commands.loaded import load
from airctl.config import override, preset
from airctl.inference.pictures import find_in_pictures
from airctl.inference.verdict import LEFT_OVER, WORSE, WORST, _unlike, usual, verdict
from airctl.model import AIR
from airctl.results.found import AT_LIMIT, FINE, UNLIKE
from airctl.scenes import Fitting, Picture, read_split

USUAL = [1.0, 1.0, 2.0, 2.0, 0.1]  # nine in ten objects are below 1, 99 in 100 below 2; 999 in 1000 scenes below 0.1


def both(around: object) -> np.ndarray:
    """The same for squared brightness and for its share, [n, 2]."""
    return np.repeat(np.array(around, float)[:, None], 2, 1)


def test_what_is_usual_are_quantiles_of_what_was_counted() -> None:
    """Only objects that were counted are looked at; NaN where there are none."""
    around, per_pixel = torch.arange(400.0).reshape(100, 4), torch.arange(100.0)
    around = torch.stack([around, around / 10], -1)
    found = usual(around, per_pixel, torch.full((100,), 2))
    counted = around[:, :2].flatten(0, 1).double()
    levels = [torch.quantile(counted[:, k], q) for q in (WORSE, WORST) for k in (0, 1)]
    assert found.tolist() == pytest.approx([*map(float, levels), float(torch.quantile(per_pixel.double(), LEFT_OVER))])
    assert usual(around, per_pixel, torch.zeros(100, dtype=torch.long)).isnan().all()


@pytest.mark.parametrize(
    ("around", "left", "unlike"),
    [
        ([], 0.05, False),
        ([], 0.2, True),  # more of the picture is left over than of any scene
        ([1.5], 0.05, False),
        ([2.5], 0.05, True),  # fewer than three: all of them must be among the worst
        ([2.5, 0.5], 0.05, False),
        ([2.5, 2.1], 0.05, True),
        ([1.5, 1.5, 0.5], 0.05, False),  # chance: 2.8 %
        ([1.5, 1.5, 1.5], 0.05, True),  # chance: 0.1 %
        ([1.5] * 10 + [0.5] * 90, 0.05, False),  # as usual
        ([1.5] * 44 + [0.5] * 56, 0.05, False),  # too many for chance, but most objects are as they should be
        ([1.5] * 50 + [0.5] * 50, 0.05, True),
        ([9.0] * 10 + [0.5] * 90, 0.05, False),
        ([1.5] * 2 + [0.5] * 2, 0.05, False),  # over the share, but chance: 5 %
    ],
)
def test_the_rule_with_made_numbers(around: list[float], left: float, unlike: bool) -> None:
    """Both directions of each of its parts; without anything known nothing is unlike."""
    assert _unlike(USUAL, both(around), left) == unlike
    assert not _unlike([float("nan")] * 5, both(around), left)


def test_chance_flags_few_pictures_of_the_usual_kind() -> None:
    """Pictures whose objects are as badly explained as usual: under 1 % of them, for any number of objects."""
    random = np.random.RandomState(0)
    for number in (1, 2, 3, 5, 10, 40, 200):
        flagged = sum(
            _unlike(USUAL, both(np.where(u < 0.01, 2.5, np.where(u < 0.1, 1.5, 0.5))), 0.0)
            for u in random.uniform(size=(2000, number))
        )
        assert flagged <= 0.015 * 2000, number


def test_unlike_comes_before_a_limit_and_a_limit_before_fine() -> None:
    """And a model that has learnt nothing of what is usual, or a recurrent one, flags limits only."""
    model = AIR(override(preset("fast"), ["model.canvas=20", "model.object_size=8", "model.glimpse=5"]))
    bad, good = both([2.5] * 5), both([0.5] * 5)
    assert [verdict(model, bad, 0.0, limit) for limit in (False, True)] == [FINE, AT_LIMIT]
    model.network.usual.copy_(torch.tensor(USUAL))
    assert [verdict(model, bad, 0.0, limit) for limit in (False, True)] == [UNLIKE, UNLIKE]
    assert [verdict(model, good, 0.0, limit) for limit in (False, True)] == [FINE, AT_LIMIT]
    recurrent = AIR(override(preset("recurrent"), ["model.canvas=12", "model.glimpse=6"]))
    assert [verdict(recurrent, bad, 9.0, limit) for limit in (False, True)] == [FINE, AT_LIMIT]


def test_the_models_own_scenes_are_fine_and_noise_is_not(learnt: Path, imported: Path) -> None:
    """Of 300 held-out crops at most 2 % and 2.5 standard errors are flagged, of noise and stripes nearly all."""
    model = load(learnt).model
    assert not model.network.usual.isnan().any()
    as_they_are = Fitting(invert="no", background=0)
    model.config = override(model.config, ["picture.object_size=0"])  # the scenes are developed already

    def flagged(images: np.ndarray) -> float:
        pictures = [Picture(str(i), image) for i, image in enumerate(images)]
        return float(np.mean([f.verdict == UNLIKE for f in find_in_pictures(model, pictures, as_they_are)]))

    images = read_split(imported, "test").images
    assert flagged(images) <= 0.02 + 2.5 * 0.0081
    random = np.random.RandomState(0)
    assert flagged(random.randint(0, 256, (40, 50, 50)).astype(np.uint8)) > 0.9
    stripes = np.where(np.arange(50) // 3 % 2, 255, 0).astype(np.uint8)[None, None].repeat(50, 1).repeat(10, 0)
    assert flagged(stripes) > 0.9
    assert flagged(255 - images[:40]) > 0.9
