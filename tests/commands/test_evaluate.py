"""Evaluation: its matrix, its counts and its accuracy agree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import airctl
from airctl.reporting import count_table
from airctl.results.as_json import to_json
from airctl.scenes import read_split


def test_confusion_accuracy_and_counts_agree(finished: Path, data: Path, tmp_path: Path) -> None:
    """The matrix sums to the scenes, its rows to the true counts, its diagonal to the accuracy."""
    result = airctl.evaluate(shutil.copytree(finished, tmp_path / "run"))
    counts = read_split(data, "test").counts
    confusion = torch.tensor(result.confusion)
    assert confusion.sum() == result.scenes == len(counts)
    assert confusion.sum(1)[:3].tolist() == [int((counts == n).sum()) for n in range(3)]
    assert result.count_accuracy == pytest.approx(confusion.diagonal().sum().item() / len(counts))
    for n, accuracy in result.per_count_accuracy.items():
        assert accuracy == pytest.approx((confusion[n, n] / confusion[n].sum()).item())
    assert f"{result.count_accuracy:.2%}" in count_table(to_json(result))


def test_more_steps_than_in_training_widen_the_matrix(finished: Path, tmp_path: Path) -> None:
    """--num-steps 5 lets the counts 4 and 5 be inferred."""
    result = airctl.evaluate(shutil.copytree(finished, tmp_path / "run"), num_steps=5)
    assert len(result.confusion) == 6
