"""Statistics of many vectors in one pass: sums that must agree, and a bias test that finds a bias and no other."""

from __future__ import annotations

import math

import pytest
import torch

from airctl.laboratory.streams import BiasTest, Moments, Stream


def test_welford_is_the_textbook_variance() -> None:
    """Streamed mean and variance equal torch's on the stored vectors."""
    vectors = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) + 3
    stream = Stream()
    for vector in vectors:
        stream.add(vector)
    torch.testing.assert_close(stream.mean, vectors.mean(0))
    torch.testing.assert_close(stream.variances(), vectors.var(0))


def _p_values(shift: float, repeats: int, samples: int = 100) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    values = []
    for _ in range(repeats):
        test = BiasTest(samples)
        for vector in torch.randn(samples, 30, generator=generator):
            test.add(vector + shift)
        values.append(test.p_value())
    return values


def test_the_bias_test_is_level_without_a_bias() -> None:
    """Under no bias p < 0.05 in about 5 % of 400 repeats: within 5 standard errors of a normal test's share."""
    share = sum(p < 0.05 for p in _p_values(0.0, 400)) / 400
    assert abs(share - 0.05) < 5 * math.sqrt(0.05 * 0.95 / 400)


def test_the_bias_test_is_level_with_few_samples() -> None:
    """With 12, six of which are tested, p < 0.02 in about 2 % of 1000 repeats; a normal test would say so in 4 %."""
    share = sum(p < 0.02 for p in _p_values(0.0, 1000, samples=12)) / 1000
    assert abs(share - 0.02) < 3.5 * math.sqrt(0.02 * 0.98 / 1000)


def test_the_bias_test_finds_a_bias() -> None:
    """A shift of 0.2 standard deviations in each of 30 coordinates is found every time with 100 vectors."""
    assert max(_p_values(0.2, 50)) < 0.05


def test_bias_norm_takes_chance_off() -> None:
    """For vectors of mean zero the norm of the bias is far below the norm of their mean."""
    generator = torch.Generator().manual_seed(2)
    vectors, level, shifted = torch.randn(400, 1000, generator=generator), BiasTest(400), BiasTest(400)
    for vector in vectors:
        level.add(vector)
        shifted.add(vector + 1)
    assert level.norm() < 0.3 * float(vectors.mean(0).norm())
    assert shifted.norm() == pytest.approx(math.sqrt(1000), rel=0.05)


def test_a_bias_within_rounding_is_none() -> None:
    """A shift that is certain but smaller than what float32 rounds away does not count; a larger one does."""
    test = BiasTest(20)
    for vector in torch.randn(20, 5, generator=torch.Generator().manual_seed(4)):
        test.add(1 + 1e-3 * vector)
    assert test.p_value() < 1e-3
    assert test.p_value(rounding=3.0) > 0.99


def test_the_bias_interval_holds_the_bias() -> None:
    """In about 95 % of 300 repeats: of vectors along one axis, with a bias along it."""
    generator, inside = torch.Generator().manual_seed(3), 0
    for _ in range(300):
        test = BiasTest(100)
        for number in torch.randn(100, 1, generator=generator):
            test.add(number + 1)
        low, high = test.interval()
        inside += low < 1 < high
    assert abs(inside / 300 - 0.95) < 5 * math.sqrt(0.05 * 0.95 / 300)


def test_a_bias_test_without_a_second_half_says_nothing() -> None:
    """Stopped before there is anything to test with, it does not claim that there is no bias."""
    test = BiasTest(100)
    for number in torch.randn(20, 3, generator=torch.Generator().manual_seed(0)):
        test.add(number)
    assert (test.p_value(), test.interval()) == (None, None)


def test_moments_are_the_textbook_ones() -> None:
    """Streamed: mean, variance, and the standard errors of both, the latter from the fourth moment."""
    numbers = torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    moments = Moments()
    for number in numbers.tolist():
        moments.add(number)
    variance, fourth = numbers.var().item(), (numbers - numbers.mean()).pow(4).mean().item()
    assert moments.mean == pytest.approx(numbers.mean().item())
    assert moments.variance() == pytest.approx(variance)
    assert moments.mean_error() == pytest.approx(math.sqrt(variance / 500))
    assert moments.variance_error() == pytest.approx(math.sqrt((fourth - variance**2) / 500))


def test_slices_that_are_put_together_have_one_norm() -> None:
    """That of the vector of both, in their own order; the norm of all is not changed by it."""
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(2))
    stream = Stream({"a": slice(2), "b": slice(2, 5), "c": slice(5, 6)}, {"both": ("a", "c")})
    for vector in vectors:
        stream.add(vector)
    both = vectors[:, [0, 1, 5]].norm(dim=1)
    assert stream.norms["both"].variance() == pytest.approx(both.var().item(), rel=1e-4)
    assert stream.norms["all"].variance() == pytest.approx(vectors.norm(dim=1).var().item(), rel=1e-4)
    assert set(stream.spread) == {"a", "b", "c", "all"}


def test_the_trace_has_an_honest_error() -> None:
    """Streamed per slice: the trace of the covariance, within 5 of its own standard errors of the truth."""
    vectors = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7.0) + 5
    stream = Stream({"start": slice(4), "end": slice(4, 6)})
    for vector in vectors:
        stream.add(vector)
    for name, where, trace in (("all", slice(None), 91.0), ("end", slice(4, 6), 61.0)):
        spread = stream.spread[name]
        assert spread.mean == pytest.approx(float(vectors.var(0)[where].sum()), rel=1e-5)
        assert abs(spread.mean - trace) < 5 * spread.mean_error() < 0.3 * trace
