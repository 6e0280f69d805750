"""Calibration: closed forms, what chance adds, and probabilities that say too much or too little."""

from __future__ import annotations

import numpy as np
import pytest

from airctl.evaluation.calibration import BINS, calibration

SCENES, COUNTS = 20_000, 4


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors [S, N + 1] from sure to unsure and counts drawn from them, so that they are calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(SCENES, COUNTS)) * rng.uniform(0.1, 4, size=(SCENES, 1))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, (probabilities.cumsum(1) < rng.uniform(size=(SCENES, 1))).sum(1)


def sharpened(probabilities: np.ndarray, power: float) -> np.ndarray:
    raised = probabilities**power
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
def test_counts_drawn_from_the_posterior_leave_only_what_chance_does(seed: int) -> None:
    """The error is at most the sum of the bins' standard errors, which is what 20 000 scenes cannot tell from 0."""
    found = calibration(*drawn(seed))
    standard = np.sqrt(found.confidence * (1 - found.confidence) * found.scenes).sum() / SCENES
    assert 0 < found.error < standard


@pytest.mark.parametrize("power", [2.0, 0.5])
def test_too_sure_and_too_unsure_are_both_caught(power: float) -> None:
    """Negative control: the same counts, with probabilities that say too much or too little."""
    probabilities, true = drawn(0)
    found = calibration(sharpened(probabilities, power), true)
    assert found.error > 0.05
    some = found.scenes > 100
    assert np.sign((found.confidence - found.accuracy)[some].mean()) == np.sign(power - 1)


@pytest.mark.parametrize(("confidence", "right"), [(0.7, 0.5), (0.9, 0.95), (1.0, 0.0), (1.0, 1.0)])
def test_one_confidence_throughout_has_the_error_of_its_gap(confidence: float, right: float) -> None:
    """Closed form: all scenes in one bin, so the error is |share right - confidence|."""
    true = (np.arange(200) >= 200 * right).astype(int)  # 0 for the share that is right
    found = calibration(np.tile([confidence, 1 - confidence], (200, 1)), true)
    assert found.error == pytest.approx(abs(confidence - right), abs=1e-12)
    assert np.count_nonzero(found.scenes) == 1


def test_it_is_the_sum_over_bins_of_the_definition() -> None:
    """Against a loop over the scenes of each bin (low, high]."""
    probabilities, true = drawn(1)
    error, sure = 0.0, probabilities.max(1)
    for low, high in zip(np.arange(BINS) / BINS, np.arange(1, BINS + 1) / BINS, strict=True):
        inside = (sure > low) & (sure <= high)
        if inside.any():
            right = (probabilities.argmax(1) == true)[inside].mean()
            error += inside.sum() * abs(right - sure[inside].mean()) / SCENES
    assert calibration(probabilities, true).error == pytest.approx(error, abs=1e-9)


def test_the_table_holds_every_scene_once_and_its_mean_is_the_accuracy() -> None:
    """Whatever the bins, their means weighted by their scenes are the means over all scenes."""
    probabilities, true = drawn(2)
    for bins in (1, 7, BINS):
        found = calibration(probabilities, true, bins)
        assert found.scenes.sum() == SCENES
        assert (found.scenes * found.accuracy).sum() / SCENES == pytest.approx((probabilities.argmax(1) == true).mean())
        assert (found.scenes * found.confidence).sum() / SCENES == pytest.approx(probabilities.max(1).mean())
        filled = found.scenes > 0
        assert (found.confidence <= found.edges[1:] + 1e-12)[filled].all()
        assert (found.confidence >= found.edges[:-1])[filled].all()


def test_a_count_beyond_the_model_is_wrong() -> None:
    """Scenes of three objects, shown to a model that counts to two and is sure of it."""
    assert calibration(np.tile([0.0, 0.0, 1.0], (5, 1)), np.full(5, 3)).error == 1.0


def test_no_scenes_have_no_error() -> None:
    """Nothing was measured, and nothing is divided by."""
    assert calibration(np.zeros((0, 3)), np.zeros(0, int)).error == 0.0
