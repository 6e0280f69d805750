"""Every estimator in the loop that trains with it: its roll-outs, its own parameters, its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from airctl.config import Config
from airctl.objectives import ESTIMATORS
from airctl.training.learner import Learner, training_step

Tiny = Callable[..., Config]

# What an estimator learns or remembers, which a step must change and a checkpoint must hold.
STATE = {
    "score-function-average": {"mean", "seen"},
    "score-function-neural": {"constant_weight", "constant_bias", "recurrent.weight", "head.weight", "head.bias"},
    "nvil": {"moments.mean", "moments.variance", "head.bias"},
    "rebar": {"eta", "log_temperature"},
    "concrete": {"calls"},
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_two_steps_are_finite_move_the_model_and_are_repeatable(tiny_config: Tiny, name: str) -> None:
    """Also with K roll-outs of each scene; run again from the same seed, the weights have the same bits."""
    config = tiny_config(
        f"objective.estimator={name}", "objective.samples=3", "objective.temperature_anneal_steps=10",
        "objective.temperature_start=2.0", "optimiser.warmup=0",
    )  # fmt: skip
    images = (torch.rand(6, 12, 12, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)

    def trained(steps: int) -> dict[str, torch.Tensor]:
        learner = Learner.build(config, torch.device("cpu"))
        learner.modules.train()
        for step in range(steps):
            surrogate = training_step(learner, config, images, step)
            assert surrogate.loss.isfinite()
        return {key: value.clone() for key, value in learner.modules.state_dict().items()}

    before, after, again = trained(0), trained(2), trained(2)
    assert all(torch.equal(after[key], again[key]) for key in after)
    assert not torch.equal(before["model.network.where.head.weight"], after["model.network.where.head.weight"])
    assert (name == "backprop") == torch.equal(
        before["model.network.present.weight"], after["model.network.present.weight"]
    )
    changed = [key for key in after if key.startswith("estimator") and not torch.equal(before[key], after[key])]
    for ending in STATE.get(name, set()):
        assert any(key.endswith(ending) for key in changed), ending


class Written(TorchDispatchMode):
    """While entered, counts the numbers that operations write: what is not a view of what they are given."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for made in tree_leaves(result):
            if isinstance(made, Tensor):
                in_place = func._schema.name.endswith("_")
                self.numbers += made.numel() * (in_place or made.untyped_storage().data_ptr() not in given)
        return result


@pytest.mark.parametrize("name", ["exact", "score-function-neural", "concrete", "vimco"])
def test_a_step_costs_the_same_more_for_each_object_it_can_see(tiny_config: Tiny, name: str) -> None:
    """Matrix products and numbers written, forward, backward and Adam: both lie on a straight line in N."""
    images = (torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)

    def cost(num_steps: int) -> tuple[int, int]:
        config = tiny_config(f"objective.estimator={name}", f"model.num_steps={num_steps}")
        learner = Learner.build(config, torch.device("cpu"))
        training_step(learner, config, images, 0)
        with FlopCounterMode(display=False) as flops, Written() as written:
            training_step(learner, config, images, 1)
        return flops.get_total_flops(), written.numbers

    (flops_2, numbers_2), (flops_4, numbers_4), (flops_6, numbers_6) = cost(2), cost(4), cost(6)
    assert flops_6 - flops_4 == flops_4 - flops_2 > 0
    assert numbers_6 - numbers_4 == numbers_4 - numbers_2 > 0
