"""The named failures: 200 scenes whose right outcome is known because they were built to have it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from airctl.config import Config, PriorConfig, override
from airctl.evaluation.failures import (
    DOUBLE,
    MERGED,
    MISSED,
    NEEDLESS,
    OUTCOMES,
    RIGHT,
    WRONG,
    outcome,
    outcomes,
    shares,
)
from airctl.inference import Detections, detections
from airctl.model import AIR, DenseLayers, Gaussian, Objects, Relative, Unary, truncated_geometric
from airctl.objectives import terms_of
from airctl.scenes import SceneSpec, generate_data, read_split

SCENES, STEPS, SIDE = 200, 3, 50
OBJECTS = {RIGHT: (0, 1, 2), DOUBLE: (1, 2), NEEDLESS: (0, 1, 2), MERGED: (2,), MISSED: (1, 2), WRONG: (1, 2)}


def rollout_of(images: np.ndarray, pasted: np.ndarray, counts: np.ndarray) -> Objects:
    """A roll-out that draws ``pasted`` [S, N, D, D] and is sure of ``counts`` [S]; all else is empty."""
    scenes, steps = pasted.shape[:2]
    where, what, glimpse = (torch.zeros(scenes, steps, *shape) for shape in ((3,), (4,), (6, 6)))
    where[..., 0] = 3
    logits = torch.where(torch.arange(steps) < torch.from_numpy(counts)[:, None], 20.0, -20.0)
    return Objects(
        canvas=torch.from_numpy(images).float() / 255,
        z_where=where,
        z_what=what,
        logits=logits,
        code=Unary(steps),
        p_where=Normal(where, 1.0),
        p_what=Normal(what, 1.0),
        q_where=Normal(where, 1.0),
        q_what=Normal(what, 1.0),
        kl_where=where.sum(-1),
        kl_what=what.sum(-1),
        glimpses=glimpse,
        drawn=glimpse,
        poses=Relative(PriorConfig()),
        layers=DenseLayers(torch.from_numpy(pasted).float() / 255),
    )


def inside(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """What of ``image`` lies in ``box``; black elsewhere."""
    x0, y0, x1, y1 = box
    kept = np.zeros_like(image)
    kept[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return kept


def steps_for(name: str, image: np.ndarray, true: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """What the steps draw, [D, D] each, for the outcome ``name`` of a scene with the true boxes ``true`` [m, 4]."""
    drawn = [inside(image, box) for box in true]
    which = int(random.integers(max(1, len(true))))
    if name == RIGHT:
        drawn = [np.roll(one, tuple(random.integers(-1, 2, 2)), (0, 1)) // 4 * 3 for one in drawn]  # a little off
    elif name == DOUBLE:
        x0, y0, x1, y1 = true[which]
        if random.random() < 0.5:  # two halves
            middle = int(y0 + (y1 - y0) * random.uniform(0.35, 0.65))
            drawn[which] = inside(image, np.array([x0, y0, x1, middle]))
            drawn.append(inside(image, np.array([x0, middle, x1, y1])))
        else:  # the same twice, half as bright
            drawn[which] = drawn[which] // 2
            drawn.append(drawn[which])
    elif name == NEEDLESS:
        drawn.append(np.zeros_like(image))
        if random.random() < 0.5 and (corner := empty_corner(true)):
            drawn[-1][corner] = 90
    elif name == MERGED:
        low, high = true.min(0)[:2], true.max(0)[2:]
        drawn = [inside(image, np.array([*low, *high]))]
    elif name == MISSED:
        del drawn[which]
    elif name == WRONG:
        x0, y0, x1, y1 = true[which]
        if random.random() < 0.5:  # beside its object, by most of its width or height, away from the other one
            other = true[1 - which] if len(true) > 1 else np.array([SIDE, SIDE, 0, 0]) - true[which][[2, 3, 0, 1]]
            away = np.sign((true[which] - other)[:2] + 0.5).astype(int)
            shift = away * (0.7 * np.array([x1 - x0, y1 - y0])).astype(int)
            drawn[which] = shifted(drawn[which], shift)
        else:  # in its place, with nothing of its shape
            noise = np.zeros_like(image)
            noise[y0:y1, x0:x1] = np.where(drawn[which][y0:y1, x0:x1] > 60, 0, 200)
            noise[[y0, y1 - 1], x0:x1] = noise[y0:y1, [x0, x1 - 1]] = 200
            drawn[which] = noise
    order = random.permutation(len(drawn))
    return [drawn[i] for i in order]


def shifted(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    """``image`` moved by (x, y) pixels; what leaves the canvas is cut off."""
    moved = np.zeros_like(image)
    x, y = by
    target = moved[max(0, y) : SIDE + min(0, y), max(0, x) : SIDE + min(0, x)]
    target[:] = image[max(0, -y) : SIDE + min(0, -y), max(0, -x) : SIDE + min(0, -x)]
    return moved


def empty_corner(true: np.ndarray) -> tuple[slice, slice] | None:
    """A square of 8 pixels in a corner that no object reaches."""
    for y in (0, SIDE - 8):
        for x in (0, SIDE - 8):
            if all(b[2] <= x or b[0] >= x + 8 or b[3] <= y or b[1] >= y + 8 for b in true):
                return slice(y, y + 8), slice(x, x + 8)
    return None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Detections, np.ndarray, np.ndarray]:
    """200 scenes, their right outcomes, what is found in them, their images and their true boxes."""
    path = tmp_path_factory.mktemp("built") / "scenes.h5"
    generate_data(path, SceneSpec(train=1200, test=0), digits="font", say=lambda message: None)
    split, random = read_split(path, "train"), np.random.default_rng(0)
    clear = [s for s in range(1200) if split.counts[s] < 2 or apart(*split.boxes[s])]
    wanted = [OUTCOMES[i % len(OUTCOMES)] for i in range(SCENES)]
    chosen, pasted, counts = [], np.zeros((SCENES, STEPS, SIDE, SIDE), np.uint8), np.zeros(SCENES, int)
    for index, name in enumerate(wanted):
        scene = next(s for s in clear if split.counts[s] in OBJECTS[name])
        clear.remove(scene)
        chosen.append(scene)
        drawn = steps_for(name, split.images[scene], split.boxes[scene, : split.counts[scene]], random)
        counts[index] = len(drawn)
        for step, one in enumerate(drawn):
            pasted[index, step] = one
    images, boxes = split.images[chosen], split.boxes[chosen]
    objects = rollout_of(images, pasted, counts)
    terms = terms_of(objects, truncated_geometric(0.01, STEPS), Gaussian(0.3))
    found = detections(AIR(override(Config(), ["model.canvas=50"])), objects, terms)
    assert found.counts.tolist() == counts.tolist()
    return wanted, found, images, boxes


def apart(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two boxes have no pixel in common."""
    return bool(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1])


def test_each_of_200_built_scenes_gets_its_outcome(built) -> None:
    """Real glyphs, drawn so that the outcome is known: all 200 are named right, some 33 of each kind."""
    wanted, found, images, boxes = built
    assert min(Counter(wanted).values()) >= 33
    assert outcomes(found, images, boxes) == wanted


def test_the_outcome_is_of_the_scene_and_not_of_chance(built) -> None:
    """Negative control: judged by the boxes of another scene, hardly any that holds an object is right."""
    wanted, found, images, boxes = built
    named = outcomes(found, np.roll(images, 7, 0), np.roll(boxes, 7, 0))
    assert sum(a == b for a, b in zip(named, wanted, strict=True)) < SCENES / 2
    full = [name for name, box in zip(named, np.roll(boxes, 7, 0), strict=True) if box[0, 0] >= 0]
    assert full.count(RIGHT) < 0.1 * len(full)


def test_one_step_fewer_makes_a_right_scene_a_missed_one(built) -> None:
    """Negative control: the same drawings, the last step not taken; nothing that has an object stays right."""
    wanted, found, images, boxes = built
    fewer = Detections(**{**vars(found), "counts": np.maximum(found.counts - 1, 0)})
    named = [new for new, old, n in zip(outcomes(fewer, images, boxes), wanted, found.counts, strict=True)
             if old == RIGHT and n]  # fmt: skip
    assert named
    assert set(named) == {MISSED}


def test_the_order_of_steps_and_of_objects_tells_nothing(built) -> None:
    """Objects turned around, and steps turned around within the count: the same outcomes."""
    wanted, found, images, boxes = built
    turned, steps = boxes.copy(), found.boxes.copy()
    for scene, n in enumerate(found.counts):
        m = int((boxes[scene, :, 2] > 0).sum())
        turned[scene, :m] = boxes[scene, :m][::-1]
        steps[scene, :n] = steps[scene, :n][::-1]
    assert outcomes(Detections(**{**vars(found), "boxes": steps}), images, turned) == wanted


def test_shares_sum_to_one(built) -> None:
    """Each outcome has its share, also one that never came."""
    wanted, *_ = built
    assert sum(share for _, share in shares(wanted).items()) == pytest.approx(1)
    assert dict(shares(["right"]).items()) == {name: float(name == "right") for name in OUTCOMES}


A, B = (10, 10, 20, 30), (30, 10, 40, 30)  # two objects apart


@pytest.mark.parametrize(
    ("steps", "true", "left", "expected"),
    [
        ([], [], [], RIGHT),
        ([], [A], [1], MISSED),
        ([A], [], [], NEEDLESS),
        ([(0, 0, 0, 0)], [A], [1], WRONG),  # a step that draws nothing
        ([A], [A], [0.5], RIGHT),
        ([A], [A], [0.51], WRONG),
        ([(10, 10, 20, 50)], [A], [0], RIGHT),  # an IoU of exactly a half
        ([(10, 10, 20, 51)], [A], [0], WRONG),
        ([A, A], [A, B], [0, 1], DOUBLE),  # as many steps as objects, both on one
        ([(10, 10, 40, 30), (0, 40, 5, 45)], [A, B], [0, 0], MERGED),
        ([A, (0, 40, 5, 45)], [A, B], [0, 1], WRONG),  # the second step is nowhere near the second object
        ([(10, 10, 35, 30)], [A, B], [0, 1], MERGED),  # half of the second object
        ([(10, 10, 34, 30)], [A, B], [0, 1], MISSED),
        ([A, B, (15, 10, 25, 30)], [A, B], [0, 0], DOUBLE),  # half of the step inside an object
        ([A, B, (16, 10, 26, 30)], [A, B], [0, 0], NEEDLESS),
    ],
)
def test_the_edges_of_the_definitions(steps: list, true: list, left: list, expected: str) -> None:
    """By hand, at the thresholds and in the ways of both kinds at once."""
    as_boxes = [np.array(boxes, int).reshape(-1, 4) for boxes in (steps, true)]
    assert outcome(*as_boxes, np.array(left)) == expected


def test_a_trained_run_has_shares_in_its_evaluation(finished: Path, tmp_path: Path) -> None:
    """evaluate writes the share of each outcome, and what was counted wrong is never called right."""
    import json
    import shutil

    import airctl
    from airctl.reporting import count_table
    from airctl.reporting.words import outcome_label
    from airctl.results.as_json import to_json

    run = shutil.copytree(finished, tmp_path / "run")
    result = airctl.evaluate(run)
    shares_of = dict(result.outcomes.items())
    assert sum(shares_of.values()) == pytest.approx(1)
    assert result.outcomes.right <= result.count_accuracy
    assert json.loads((run / "eval-test.json").read_text())["outcomes"] == shares_of
    assert all(outcome_label(name) in count_table(to_json(result)) for name in OUTCOMES)
