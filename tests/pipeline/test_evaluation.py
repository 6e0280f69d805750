"""Evaluation: sums that must agree, and a bias test that finds a bias and no other."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import airctl
from airctl.evaluation.variance import BiasTest, Stream
from airctl.reporting import count_table
from airctl.scenes import read_split


def test_welford_is_the_textbook_variance() -> None:
    """Streamed mean and variance equal torch's on the stored vectors."""
    vectors = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) + 3
    stream = Stream()
    for vector in vectors:
        stream.add(vector)
    torch.testing.assert_close(stream.mean, vectors.mean(0))
    torch.testing.assert_close(stream.variances(), vectors.var(0))


def _p_values(shift: float, repeats: int) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    values = []
    for _ in range(repeats):
        test = BiasTest(100)
        for vector in torch.randn(100, 30, generator=generator):
            test.add(vector + shift)
        values.append(test.p_value())
    return values


def test_the_bias_test_is_level_without_a_bias() -> None:
    """Under no bias p < 0.05 in about 5 % of 400 repeats: within 5 standard errors of a normal test's share."""
    share = sum(p < 0.05 for p in _p_values(0.0, 400)) / 400
    assert abs(share - 0.05) < 5 * math.sqrt(0.05 * 0.95 / 400)


def test_the_bias_test_finds_a_bias() -> None:
    """A shift of 0.2 standard deviations in each of 30 coordinates is found every time with 100 vectors."""
    assert max(_p_values(0.2, 50)) < 0.05


def test_bias_norm_takes_chance_off() -> None:
    """For vectors of mean zero the norm of the bias is far below the norm of their mean."""
    generator = torch.Generator().manual_seed(2)
    test = BiasTest(400)
    for vector in torch.randn(400, 1000, generator=generator):
        test.add(vector)
    assert test.norm() < 0.3 * float(test.stream.mean.norm())


def test_confusion_accuracy_and_counts_agree(finished: Path, data: Path, tmp_path: Path) -> None:
    """The matrix sums to the scenes, its rows to the true counts, its diagonal to the accuracy."""
    import shutil

    result = airctl.evaluate(shutil.copytree(finished, tmp_path / "run"))
    counts = read_split(data, "test").counts
    confusion = torch.tensor(result["confusion"])
    assert confusion.sum() == result["scenes"] == len(counts)
    assert confusion.sum(1)[:3].tolist() == [int((counts == n).sum()) for n in range(3)]
    assert result["count_accuracy"] == pytest.approx(confusion.diagonal().sum().item() / len(counts))
    for n, accuracy in result["per_count_accuracy"].items():
        assert accuracy == pytest.approx((confusion[n, n] / confusion[n].sum()).item())
    assert f"{result['count_accuracy']:.2%}" in count_table(result)


def test_more_steps_than_in_training_widen_the_matrix(finished: Path, tmp_path: Path) -> None:
    """--num-steps 5 lets the counts 4 and 5 be inferred."""
    import shutil

    result = airctl.evaluate(shutil.copytree(finished, tmp_path / "run"), num_steps=5)
    assert len(result["confusion"]) == 6


def test_the_variance_report_is_a_function_of_its_seed(finished: Path, tmp_path: Path) -> None:
    """Same seed, same table, but for the times; another seed, another table; exact against itself has no bias."""
    import shutil

    run = shutil.copytree(finished, tmp_path / "run")

    def figures(seed: int) -> dict[str, dict[str, float]]:
        rows = airctl.measure_variance(run, samples=8, batch=4, fit_steps=3, seed=seed)["estimators"]
        return {name: {k: v for k, v in row.items() if "seconds" not in k} for name, row in rows.items()}

    first = figures(0)
    assert first == figures(0)
    assert first != figures(1)
    assert (first["exact"]["bias"], first["exact"]["bias_p_value"], first["exact"]["cosine"]) == (
        0,
        1,
        pytest.approx(1, abs=1e-4),
    )


def test_the_variance_report_leaves_the_run_as_it_was(finished: Path, tmp_path: Path) -> None:
    """Measuring trains nothing that is kept: checkpoints have the bytes they had."""
    import shutil

    run = shutil.copytree(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
    airctl.measure_variance(run, samples=4, batch=4, fit_steps=2)
    assert before == {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
