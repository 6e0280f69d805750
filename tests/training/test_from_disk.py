"""Scenes that lie on the disk train, evaluate and measure as those in memory do, to the last byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small import tiny
from training.test_train import contents

import airctl
from airctl.commands.train import train
from airctl.inference import Images
from airctl.scenes import Rows, stored
from airctl.scenes import rows as module


@pytest.mark.parametrize("preset", ["recurrent", "fast"])
def test_the_weights_are_those_of_scenes_in_memory(
    preset: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, optimisers, metrics, frames, an evaluation and a picture; another seed is the control."""
    kept: list[bool] = []
    real = Images.__init__

    def noting(images: Images, rows: Rows, device: torch.device) -> None:
        kept.append(rows.in_memory is None)
        real(images, rows, device)

    monkeypatch.setattr(Images, "__init__", noting)
    for name, limit in {"memory": 2**28, "disk": 0}.items():
        monkeypatch.setattr(stored, "IN_MEMORY", limit)
        monkeypatch.setattr(module, "IN_MEMORY", limit)
        run = tmp_path / name / "run"
        train(data, run, tiny("objective.paste_from=0", preset=preset), threads=1)
        airctl.evaluate(run)
        airctl.draw_run(run)
        assert kept
        assert all(kept) == any(kept) == (limit == 0)
        kept.clear()
    here, there = (contents(tmp_path / name / "run") for name in ("memory", "disk"))
    assert here == there
    told = [json.loads((tmp_path / name / "run/eval-test.json").read_text()) for name in ("memory", "disk")]
    assert [one | {"run": "", "sha256": ""} for one in told] == [told[0] | {"run": "", "sha256": ""}] * 2
    galleries = [(tmp_path / name / "run/gallery-test.json").read_bytes() for name in ("memory", "disk")]
    assert galleries[0] == galleries[1]
    train(data, tmp_path / "other", tiny("objective.paste_from=0", "train.seed=1", preset=preset), threads=1)
    assert contents(tmp_path / "other") != here


def test_images_on_the_disk_are_those_of_a_tensor() -> None:
    """Batches, ranges of ranges and pieces; an index of the range, not of all."""
    values = np.random.default_rng(0).integers(0, 256, (40, 3, 3), dtype=np.uint8)
    disk = Rows(values.shape, np.uint8, most=0)
    disk.append(values)
    for rows in (values, disk):
        images = Images(rows, torch.device("cpu"))[5:30][2:]
        expected = torch.from_numpy(values)[5:30][2:]
        assert images.shape == tuple(expected.shape)
        assert torch.equal(images.all(), expected)
        assert torch.equal(images.batch(np.array([3, 0, 3])), expected[[3, 0, 3]])
        assert [one.tolist() for one in images.split(10)] == [one.tolist() for one in expected.split(10)]
