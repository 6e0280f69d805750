"""One training on several processes is the training of one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small import crops
from together import together
from torch import Tensor

from airctl.config import Config
from airctl.group import ALONE, Group, current
from airctl.model import likelihoods
from airctl.objectives import ESTIMATORS, baselines, cut_and_paste, nvil
from airctl.training.learner import Learner, training_step
from airctl.training.tensors import module_tensors, optimizer_tensors

Tiny = Callable[..., Config]
BATCH, STEPS = 7, 4  # a batch that neither two nor three processes share evenly


def recipes(tiny_config: Tiny) -> dict[str, Config]:
    """Every estimator, and what else keeps something of a batch: lessons, learnt priors and likelihood scales."""
    some = (f"train.batch={BATCH}", "train.steps=8", "optimiser.warmup=0", "optimiser.clip=1.0")
    made = {name: tiny_config(*some, f"objective.estimator={name}", "objective.samples=3") for name in ESTIMATORS}
    learnt = ("likelihood.kind=gaussian-optimal", "count.kind=empirical")
    made["learnt"] = tiny_config(*some, *learnt, "objective.estimator=concrete")
    lessons = ("objective.paste=5", "objective.paste_from=0", "objective.paste_every=1", "objective.paste_tries=8")
    fast = ("model.canvas=20", "model.object_size=8.0", "optimiser.muon=1e-2", "likelihood.kind=gaussian-optimal")
    made["lessons"] = crops(*some, *lessons, *fast, "likelihood.sd=0.9")
    return made


def trained(config: Config, group: Group) -> dict[str, Tensor]:
    """The weights after some steps on this process's rows, what optimisers keep, and the ELBO of each step."""
    learner, side = Learner.build(config, torch.device("cpu")), config.model.canvas
    learner.modules.train()
    draw = torch.Generator().manual_seed(0)
    elbos = []
    for step in range(STEPS):
        images = torch.zeros(BATCH, side, side, dtype=torch.uint8)
        for image in images:  # a bright square each, somewhere
            x, y = torch.randint(2, side - 6, (2,), generator=draw).tolist()
            image[y : y + 4, x : x + 4] = torch.randint(100, 255, (4, 4), generator=draw)
        surrogate = training_step(learner, config, images[group.rows(BATCH)], step, group=group)
        elbos.append(surrogate.elbo.mean())
    kept = module_tensors(learner.modules) | optimizer_tensors(learner.modules, learner.optimizers)
    return {name: tensor.clone() for name, tensor in kept.items()} | {"elbo": torch.stack(elbos)}


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """In float64 what differs by its rounding differs by nothing that could be taken for a mistake."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("number", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_several_processes_take_the_steps_of_one(number: int, tiny_config: Tiny, tmp_path: Path) -> None:
    """Of every estimator: weights, buffers, moments and ELBO to 1e-10, and in all processes the same bytes."""
    configs = recipes(tiny_config)

    def shared() -> None:
        group = current()
        torch.save({name: trained(config, group) for name, config in configs.items()}, tmp_path / f"{group.rank}.pt")

    for outcome in together(number, shared):
        assert outcome.code == 0, outcome.message
    found, *others = (torch.load(tmp_path / f"{rank}.pt") for rank in range(number))
    for name, config in configs.items():
        alone = trained(config, ALONE)
        assert farthest(found[name], alone) < 1e-10, name
        assert all(other[name].keys() == alone.keys() for other in (found, *others))
        same = [
            torch.equal(found[name][key].nan_to_num(7), other[name][key].nan_to_num(7))
            for other in others
            for key in alone
        ]
        assert all(same), name


@pytest.mark.parametrize("name", ["score-function-average", "nvil", "learnt", "lessons"])
def test_what_is_kept_of_a_share_is_not_what_is_kept_of_the_batch(name: str, tiny_config: Tiny, tmp_path: Path) -> None:
    """Negative control: a process that keeps statistics, or makes lessons, of its own rows is found out."""
    config = recipes(tiny_config)[name]

    def shared() -> None:
        for module in (baselines, nvil, likelihoods, cut_and_paste):
            module.whole = lambda rows: rows
        torch.save(trained(config, current()), tmp_path / f"{current().rank}.pt")

    for outcome in together(2, shared):
        assert outcome.code == 0, outcome.message
    assert farthest(torch.load(tmp_path / "0.pt"), trained(config, ALONE)) > 1e-4


def farthest(found: dict[str, Tensor], true: dict[str, Tensor]) -> float:
    """The largest difference of any number, relative to the largest number of its tensor where that is above 1."""
    return max(
        float((found[key] - value).nan_to_num(0).abs().max() / max(1.0, float(value.nan_to_num(0).abs().max())))
        for key, value in true.items()
    )


def test_shares_are_even_and_in_order() -> None:
    """Of any number, for any number of processes: all of it, nothing twice, and no two shares more than one apart."""
    for size in range(1, 9):
        for number in (0, 1, 7, 64, 250):
            shares = []
            for rank in range(size):
                group = Group()
                group.rank, group.size = rank, size
                shares.append(range(number)[group.rows(number)])
            assert [i for share in shares for i in share] == list(range(number))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
