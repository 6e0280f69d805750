"""Every choice of likelihood, count prior, posterior, encoder, decoder and embedding trains, resumes and evaluates."""

from __future__ import annotations

import importlib.util
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from small import tiny

import airctl
from airctl.config import Config
from airctl.errors import ConfigError
from airctl.model import COUNT_PRIORS, DECODERS, EMBEDDINGS, ENCODERS, LIKELIHOODS, POSTERIORS
from airctl.scenes import SceneSpec, generate_data
from airctl.training import checkpoint as checkpoints

CHOICES = {
    "likelihood.kind": LIKELIHOODS,
    "count.kind": COUNT_PRIORS,
    "posterior.what": POSTERIORS,
    "posterior.where": POSTERIORS,
    "model.encoder": ENCODERS,
    "model.decoder": DECODERS,
    "network.embedding": EMBEDDINGS,
}
RECURRENT_ALONE = ("posterior.where", "network.embedding")
SMALL = {
    "recurrent": ("model.num_steps=2",),
    "fast": ("model.num_steps=3", "network.dense=2", "objective.paste=2", "objective.paste_from=0"),
}
SHORT = ("train.steps=3", "train.validate_every=2", "train.checkpoint_every=2", "train.validation=10", "train.batch=4")
ONE_BY_ONE = [
    (network, {key: name})
    for network in SMALL
    for key, table in CHOICES.items()
    for name in table
    if network == "recurrent" or key not in RECURRENT_ALONE
]


def at_random(seed: int) -> tuple[str, dict[str, str]]:
    """A choice of everything that the network, drawn too, can have."""
    drawn = random.Random(seed)
    network = drawn.choice(list(SMALL))
    keys = [key for key in CHOICES if network == "recurrent" or key not in RECURRENT_ALONE]
    return network, {key: drawn.choice(list(CHOICES[key])) for key in keys}


def named(case: Any) -> str | None:
    return "-".join(case.values()) if isinstance(case, dict) else str(case)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty train and four test scenes."""
    path = tmp_path_factory.mktemp("scenes") / "few.h5"
    generate_data(path, SceneSpec(train=20, test=4), digits="font", say=lambda message: None)
    return path


def config_of(network: str, chosen: dict[str, str]) -> Config:
    if {"maf", "nsf"} & set(chosen.values()) and importlib.util.find_spec("zuko") is None:
        pytest.skip("pip install 'airctl[flows]'")
    return tiny(*SMALL[network], *SHORT, *(f"{key}={name}" for key, name in chosen.items()), preset=network)


def weights(run: Path) -> dict[str, bytes]:
    """The files of the newest checkpoint: weights, optimisers and state."""
    last = checkpoints.resolve(run / "checkpoints", "last")
    return {name: (last / name).read_bytes() for name in checkpoints.FILES}


def check(few: Path, folder: Path, config: Config) -> None:
    """Three steps at once and with a stop after the first end with the same bytes; the run evaluates."""

    def stop(state: Any) -> None:
        if state.step == 1:
            signal.raise_signal(signal.SIGINT)

    assert airctl.train(few, folder / "whole", config, threads=1, device="cpu").steps == 3
    stopped = airctl.train(few, folder / "parts", config, threads=1, device="cpu", on_progress=stop)
    assert stopped.steps == 1, "it did stop"
    airctl.train(few, folder / "parts", config, threads=1, device="cpu", resume=True)
    assert weights(folder / "whole") == weights(folder / "parts")
    result = airctl.evaluate(folder / "parts", device="cpu", log_likelihood=3)
    assert result.scenes == 4
    for value in (result.elbo, result.bits_per_dimension, result.log_likelihood):
        assert value is not None
        assert torch.tensor(value).isfinite()


@pytest.mark.parametrize(("network", "chosen"), ONE_BY_ONE, ids=named)
def test_each_choice_trains_resumes_and_evaluates(
    few: Path, tmp_path: Path, network: str, chosen: dict[str, str]
) -> None:
    """All else as it is by default."""
    check(few, tmp_path, config_of(network, chosen))


@pytest.mark.parametrize("seed", range(10))
def test_choices_go_together(few: Path, tmp_path: Path, seed: int) -> None:
    """Ten draws of everything at once."""
    check(few, tmp_path, config_of(*at_random(seed)))


def test_another_seed_ends_with_other_bytes(few: Path, tmp_path: Path) -> None:
    """Negative control: the comparison of checkpoints can fail."""
    for seed in ("0", "1"):
        airctl.train(few, tmp_path / seed, tiny(*SMALL["fast"], *SHORT, f"train.seed={seed}", preset="fast"), threads=1)
    assert weights(tmp_path / "0") != weights(tmp_path / "1")


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (("likelihood.kind=laplace", "network.dense=4"), r"needs a canvas for each of the 128 subsets of 7 proposals"),
        (("posterior.where=full",), r"posterior\.where=full: expected diagonal"),
    ],
)
def test_what_cannot_be_together_is_said_before_the_training(
    few: Path, tmp_path: Path, chosen: tuple[str, ...], told: str
) -> None:
    """And nothing stands in the way of the corrected command."""
    config = tiny(*SMALL["fast"], *SHORT, *chosen, preset="fast")
    with pytest.raises(ConfigError, match=told):
        airctl.train(few, tmp_path / "run", config, threads=1, device="cpu")
    assert not (tmp_path / "run/config.toml").exists()
