"""Randomness is a function of (seed, purpose, step), and so are the scenes of a step and the learning rate."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from airctl.config import OptimiserConfig
from airctl.errors import ConfigError
from airctl.training.learning_rate import learning_rate_factor
from airctl.training.randomness import SceneOrder, derive, generator

CPU = torch.device("cpu")


def numbers(seed: int, purpose: str, step: int) -> list[float]:
    return torch.randn(8, generator=generator(seed, purpose, step, CPU)).tolist()


def test_the_same_arguments_give_the_same_stream() -> None:
    """Nothing has a state: a stream is the same however often and whenever it is asked for."""
    first = numbers(3, "noise", 7)
    numbers(4, "noise", 8)
    torch.manual_seed(0)
    assert numbers(3, "noise", 7) == first


def test_streams_differ_by_seed_purpose_and_step() -> None:
    """No two of 2 x 3 x 50 streams share a number, neighbours and swapped arguments included."""
    streams = [numbers(*key) for key in product((0, 1), ("noise", "counts", "order"), range(50))]
    flat = [number for stream in streams for number in stream]
    assert len(set(flat)) == len(flat)
    assert len({derive(1, "a", 11), derive(1, "a1", 1), derive(11, "a", 1), derive(1, "1a", 1)}) == 4
    assert derive(1, "noise") == derive(1, "noise", 0)


def test_derived_seeds_are_what_torch_and_numpy_take() -> None:
    """63 bits, not negative, for any seed up to the config's largest."""
    seeds = [derive(seed, "noise", step) for seed in (0, 1, 2**63 - 1) for step in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


@pytest.mark.parametrize(("scenes", "batch"), [(10, 3), (12, 4), (5, 5), (7, 1)])
def test_each_scene_comes_at_most_once_an_epoch(scenes: int, batch: int) -> None:
    """Every step is a full batch; an epoch repeats nothing, leaves out less than one batch, and has its own order."""
    order = SceneOrder(0, scenes, batch)
    steps = scenes // batch
    epochs = [np.concatenate([order.at(epoch * steps + step) for step in range(steps)]) for epoch in range(6)]
    for epoch in epochs:
        assert len(epoch) == steps * batch
        assert len(set(epoch.tolist())) == len(epoch)
        assert set(epoch.tolist()) <= set(range(scenes))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1


def test_no_scene_is_left_out_for_ever() -> None:
    """What does not fill a batch differs from epoch to epoch."""
    order = SceneOrder(0, 10, 4)
    assert {int(i) for step in range(40) for i in order.at(step)} == set(range(10))


def test_the_scenes_of_a_step_do_not_depend_on_history() -> None:
    """A run resumed at step 17 sees what the run that never stopped saw, forwards, backwards and at once."""
    whole = SceneOrder(5, 20, 6)
    forwards = [whole.at(step).tolist() for step in range(30)]
    assert [whole.at(step).tolist() for step in reversed(range(30))] == forwards[::-1]
    assert [SceneOrder(5, 20, 6).at(step).tolist() for step in range(30)] == forwards
    assert [SceneOrder(6, 20, 6).at(step).tolist() for step in range(30)] != forwards


def test_too_few_scenes_for_a_batch_are_refused() -> None:
    """The error says how many there are, how many are needed, and what to do."""
    with pytest.raises(ConfigError, match=r"3 training scenes do not fill one batch of 4.*train\.batch"):
        SceneOrder(0, 3, 4)


def test_warm_up_rises_to_one_and_a_constant_schedule_stays() -> None:
    """The factor is (step + 1) / warmup until 1; without warm-up it is 1 from the start."""
    warm = [learning_rate_factor(step, 100, OptimiserConfig(schedule="constant", warmup=4)) for step in range(8)]
    assert warm == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
    assert learning_rate_factor(0, 100, OptimiserConfig(schedule="constant", warmup=0)) == 1


def test_cosine_falls_from_one_to_zero() -> None:
    """Half a cosine over all steps: 1 at 0, 1/2 half way, 0 at the end and no rise after it."""
    cosine = OptimiserConfig(schedule="cosine", warmup=0)
    values = [learning_rate_factor(step, 100, cosine) for step in range(101)]
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5)
    assert values[100] == pytest.approx(0, abs=1e-12)
    assert all(later < earlier for earlier, later in pairwise(values))
    assert learning_rate_factor(150, 100, cosine) == pytest.approx(0, abs=1e-12)
