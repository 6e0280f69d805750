"""Every estimator in the loop that trains with it: its roll-outs, its own parameters, its memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from airctl.config import Config
from airctl.objectives import ESTIMATORS
from airctl.training.loop import Learner, training_step

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
    assert not torch.equal(before["model.where_head.weight"], after["model.where_head.weight"])
    assert (name == "backprop") == torch.equal(before["model.present_head.weight"], after["model.present_head.weight"])
    changed = [key for key in after if key.startswith("estimator") and not torch.equal(before[key], after[key])]
    for ending in STATE.get(name, set()):
        assert any(key.endswith(ending) for key in changed), ending
