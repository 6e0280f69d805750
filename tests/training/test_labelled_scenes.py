"""Training with labels: which scenes they are of, how often they come, refusals, and the same bytes when resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small import tiny

import airctl
from airctl.config import Config
from airctl.errors import ConfigError
from airctl.inference import passes
from airctl.objectives import Labels
from airctl.scenes import SceneSpec, SceneSplit, read_split
from airctl.scenes.spec import NO_COUNT
from airctl.training import Progress, RunFolder
from airctl.training import checkpoint as checkpoints
from airctl.training.labels import LabelledOrder, labels_of
from airctl.training.learner import Learner, training_step
from airctl.training.randomness import SceneOrder

SHORT = ("train.steps=6", "train.validate_every=3", "train.checkpoint_every=2", "objective.paste_from=0")


def of_counts(counts: list[int]) -> SceneSplit:
    split = SceneSplit.blank(len(counts), SceneSpec(max_digits=3))
    split.counts[:] = counts
    return split


def test_the_first_scenes_of_known_counts_are_labelled() -> None:
    """Not those that are held out, and not those that nobody has counted."""
    split = of_counts([2, NO_COUNT, 0, 1, 3])
    told = labels_of(split, 4, tiny("train.labels=2"))
    assert told.counts.tolist() == [2, -1, 0, -1]
    assert told.boxes is None
    assert labels_of(split, 4, tiny("train.labels=3")).counts.tolist() == [2, -1, 0, 1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("train.labels=4",), r"train\.labels is 4, but of the 4 training scenes 3 have a known count"),
        (("train.labels=3", "model.num_steps=1"), "a labelled scene has 2 objects, but model.num_steps=1 proposes 1"),
        (("train.labels=1", "train.label_boxes=yes"), "train.label_boxes is yes, but the scenes have no boxes"),
        (("train.labels=1", "objective.estimator=vimco"), "objective.estimator=vimco cannot be told counts"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused_in_one_sentence(settings: tuple[str, ...], told: str) -> None:
    """What was asked for, what there is, what was expected."""
    with pytest.raises(ConfigError, match=told) as refused:
        labels_of(of_counts([2, NO_COUNT, 0, 1, 3]), 4, tiny(*settings))
    assert "\n" not in str(refused.value)


def test_a_share_of_each_batch_is_labelled_and_all_labels_come_alike_often() -> None:
    """A quarter of 8; ten labels a turn, in another order each turn; the other places are the usual scenes."""
    counts = torch.full((100,), -1)
    counts[torch.arange(10) * 7] = 1
    usual, order = SceneOrder(3, 100, 8), LabelledOrder(SceneOrder(3, 100, 8), Labels(counts), 0.25)
    drawn = np.stack([order.at(step)[order.places] for step in range(20)])
    assert order.places.tolist() == [0, 4]
    assert np.array_equal(np.sort(drawn.reshape(4, 10), 1), np.tile(np.arange(10) * 7, (4, 1)))
    assert len({tuple(turn) for turn in drawn.reshape(4, 10).tolist()}) > 1
    rest = np.setdiff1d(np.arange(8), order.places)
    assert all(np.array_equal(order.at(step)[rest], usual.at(step)[rest]) for step in range(20))
    backwards = [order.at(step).tolist() for step in reversed(range(30))]
    assert backwards[::-1] == [order.at(step).tolist() for step in range(30)]
    without = LabelledOrder(SceneOrder(3, 100, 8), Labels(counts), 0.0)
    assert all(np.array_equal(without.at(step), usual.at(step)) for step in range(5))


def test_fewer_labels_than_places_come_more_than_once_a_batch() -> None:
    """Three labels fill four places."""
    order = LabelledOrder(SceneOrder(0, 50, 8), Labels(torch.tensor([1, 2, 0] + [-1] * 47)), 0.5)
    assert {int(i) for i in order.at(0)[order.places]} == {0, 1, 2}


def bytes_of(run: Path) -> dict[str, bytes]:
    last = checkpoints.resolve(run / "checkpoints", "last")
    return {name: (last / name).read_bytes() for name in checkpoints.FILES}


@pytest.mark.parametrize("preset", ["fast", "recurrent"])
@pytest.mark.parametrize("labels", [("train.labels=10",), ("train.labels=80", "train.label_boxes=yes")])
def test_stopped_and_resumed_is_the_run_that_was_not(
    preset: str, labels: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    """With few labels and with all and their boxes, either network; without labels the bytes are others."""
    config = tiny(*SHORT, *labels, preset=preset)

    def stop(progress: Progress) -> None:
        if progress.step in (1, 3):
            os.kill(os.getpid(), signal.SIGTERM)

    airctl.train(data, tmp_path / "whole", config, threads=1)
    for _ in range(3):
        airctl.train(data, tmp_path / "parts", config, threads=1, resume=True, on_progress=stop)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "parts")
    if labels == ("train.labels=10",):
        airctl.train(data, tmp_path / "none", tiny(*SHORT, preset=preset), threads=1)
        assert bytes_of(tmp_path / "none") != bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("told", [True, False])
def test_labels_teach_to_count(told: bool, tiny_config: Callable[..., Config]) -> None:
    """After 120 steps q(n) has the counts that it was told, right or wrong, of scenes with a square and without."""
    config = tiny_config("objective.label_weight=30.0", "optimiser.lr=1e-2", "optimiser.warmup=0", "train.steps=1000")
    images = torch.zeros(8, 12, 12, dtype=torch.uint8)
    images[::2, 4:8, 4:8] = 255
    labels = Labels(torch.tensor([1, 0] * 4 if told else [0, 1] * 4))
    learner = Learner.build(config, torch.device("cpu"))
    for step in range(120):
        training_step(learner, config, images, step, labels=labels)
    ((_, terms),) = passes(learner.model, images, learner.model.count(3), learner.model.mean_noise)
    assert terms.log_count.argmax(1).tolist() == labels.counts.tolist()


def test_the_command_line_says_it_and_the_run_keeps_it(data: Path, tmp_path: Path, airctl) -> None:
    """--labels and --label-boxes are keys of the config; too many are refused with exit code 2 and leave no run."""
    sets = [word for one in ("train.batch=8", "train.validation=40", "train.steps=1") for word in ("--set", one)]
    code, _, err = airctl("train", data, "--run", tmp_path / "a", *sets, "--labels", 5, "--label-boxes")
    assert (code, "Traceback" in err) == (0, False)
    settings = RunFolder(tmp_path / "a").config().train
    assert (settings.labels, settings.label_boxes) == (5, "yes")
    code, out, err = airctl("train", data, "--run", tmp_path / "b", *sets, "--labels", 81)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not (tmp_path / "b/config.toml").exists()
    assert (read_split(data, "train").counts[:5] != NO_COUNT).all()
