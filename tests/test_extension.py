"""A likelihood, a count prior and an estimator from outside the package: one class and one registry line each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import tiny
from torch import Tensor
from torch.distributions import Distribution, Laplace

import airctl
from airctl import config
from airctl.errors import ConfigError
from airctl.model import COUNT_PRIORS, LIKELIHOODS, CountPrior, Likelihood, Objects
from airctl.objectives import ESTIMATORS, Exact, Surrogate, Terms


class Heavy(Likelihood):
    """Laplace around the mean, drawn canvas by canvas: there is no Gram matrix for it."""

    def forward(self, mean: Tensor) -> Distribution:
        return Laplace(mean, 0.2, validate_args=False)


class Learnt(CountPrior):
    """p(n) by a parameter for each count."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(8))

    def forward(self, most: int, step: int | None = None) -> Tensor:
        return self.logits[: most + 1].log_softmax(0)


class Doubled(Exact):
    """Twice the exact loss: another gradient, and still an estimator."""

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        once = super().expected(objects, terms)
        return Surrogate(2 * once.loss, once.baseline_loss, once.elbo)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIKELIHOODS, "heavy", lambda config: Heavy())
    monkeypatch.setitem(COUNT_PRIORS, "learnt", lambda config: Learnt())
    monkeypatch.setitem(ESTIMATORS, "doubled", lambda config: Doubled())


OWN = ("likelihood.kind=heavy", "count.kind=learnt", "objective.estimator=doubled", "train.steps=5")


@pytest.mark.parametrize("network", ["recurrent", "fast"])
@pytest.mark.usefixtures("registered")
def test_they_train_save_load_and_evaluate(data: Path, tmp_path: Path, network: str) -> None:
    """Five steps with either network; the learnt prior moves, is in the checkpoint, and comes back."""
    chosen = config.override(tiny(preset=network), [*OWN, "network.dense=0", "model.num_steps=3", "objective.paste=0"])
    assert airctl.train(data, tmp_path / "run", chosen, threads=1, device="cpu").steps == 5
    loaded = airctl.load(tmp_path / "run", device="cpu")
    assert isinstance(loaded.model.likelihood, Heavy)
    assert loaded.model.count.logits.abs().sum() > 0, "it was taught, as a generative parameter"
    assert any(p is loaded.model.count.logits for p in loaded.model.parameter_groups()["theta"])
    assert airctl.evaluate(tmp_path / "run", device="cpu").scenes == 40


def test_unknown_ones_are_refused_with_the_nearest_name(data: Path, tmp_path: Path) -> None:
    """Negative control: without their registry lines they are no names."""
    with pytest.raises(ConfigError, match=r"there is no count\.kind 'learnt'"):
        airctl.train(data, tmp_path / "run", tiny(*OWN), threads=1, device="cpu")
    assert not (tmp_path / "run/config.toml").exists(), "nothing stands in the way of the corrected command"


@pytest.mark.usefixtures("registered")
def test_subsets_without_a_gram_matrix_have_a_limit_that_is_said(data: Path, tmp_path: Path) -> None:
    """Above six proposals each subset would need a canvas: one sentence that says why."""
    chosen = config.override(
        tiny(preset="fast"), ["likelihood.kind=heavy", "model.num_steps=7", "network.dense=0", "train.steps=1"]
    )
    with pytest.raises(ConfigError, match="needs a canvas for each of the 128 subsets of 7 proposals"):
        airctl.train(data, tmp_path / "run", chosen, threads=1, device="cpu")
