"""The posterior over the sets of many objects, block by block, against the sum over all of them."""

from __future__ import annotations

from dataclasses import replace
from math import lgamma, log

import numpy as np
import pytest

from airctl.inference.blocks import SetPosterior, of_sets, posterior
from airctl.inference.pieces import Weights, divide, subsets

GEOMETRIC = lambda most: np.arange(most + 1) * log(0.05)  # noqa: E731
UNIFORM = lambda most: np.zeros(most + 1)  # noqa: E731
POISSON = lambda most: np.array([n * log(3.0) - lgamma(n + 1) for n in range(most + 1)])  # noqa: E731
PRIORS = {"geometric": GEOMETRIC, "uniform": UNIFORM, "poisson": POISSON}


def component(rng: np.random.Generator, size: int, linear: float = 2.0) -> Weights:
    """A connected graph: a random tree and some more pairs."""
    pairs = {(int(rng.integers(j)), j) for j in range(1, size)}
    pairs |= {(i, j) for j in range(size) for i in range(j) if rng.random() < 0.3}
    listed = np.array(sorted(pairs), int).reshape(-1, 2)
    return Weights(rng.normal(0.5, linear, size), listed, rng.gamma(1.0, 2.0, len(listed)))


def together(parts: list[Weights], rng: np.random.Generator) -> Weights:
    """All in one, in random order."""
    starts = np.cumsum([0, *[len(part.linear) for part in parts]])
    place = rng.permutation(starts[-1])
    linear = np.empty(starts[-1])
    linear[place] = np.concatenate([part.linear for part in parts])
    pairs = np.concatenate([part.pairs + start for part, start in zip(parts, starts, strict=False)])
    return Weights(linear, place[pairs], np.concatenate([part.coupling for part in parts]))


def log_w(weights: Weights) -> np.ndarray:
    """log w of all subsets by its definition, [2^M]."""
    members = subsets(len(weights.linear)).astype(float)
    i, j = weights.pairs.T
    return members @ weights.linear - (members[:, i] * members[:, j]) @ weights.coupling


def enumerated(weights: Weights, log_set: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p(n | x) [M + 1], the probability of each object [M], the best set of the most probable count, bool [M]."""
    members = subsets(len(weights.linear))
    counts = members.sum(1)
    log_p = log_w(weights) + log_set[counts]
    log_p -= np.logaddexp.reduce(log_p)
    log_count = np.array([np.logaddexp.reduce(log_p[counts == n]) for n in range(len(log_set))])
    best = members[np.where(counts == log_count.argmax(), log_p, -np.inf).argmax()]
    return log_count, np.exp(log_p) @ members, best


def agree(found: SetPosterior, log_count: np.ndarray, present: np.ndarray, best: np.ndarray) -> bool:
    """Whether an answer is what enumeration says."""
    kept = log_count[found.first : found.first + len(found.log_count)]
    return bool(
        np.allclose(found.log_count, kept, atol=1e-9)
        and np.exp(kept).sum() > 1 - 1e-12
        and np.allclose(found.present, present, atol=1e-9)
        and (found.members == best).all()
    )


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("sizes", [[1], [12], [2, 3, 1], [5, 6], [1] * 13, [4, 3, 2, 1, 1, 1, 1], [7, 6]])
def test_blocks_are_the_sum_over_all_sets(prior: str, sizes: list[int]) -> None:
    """Counts, objects and the best set, for any count prior; independent components keep each other's count in mind."""
    rng = np.random.default_rng(sum(sizes) + len(sizes))
    weights = together([component(rng, size) for size in sizes], rng)
    log_set = of_sets(PRIORS[prior](sum(sizes)))
    found = posterior(weights, log_set)
    expected = enumerated(weights, log_set)
    assert agree(found, *expected)
    assert found.count == expected[0].argmax()
    assert found.members.sum() == found.count
    assert not found.searched.any()
    # Negative controls: one coupling a little off, or another prior, is noticed.
    off = replace(weights, linear=weights.linear + 1e-3)
    assert not agree(posterior(off, log_set), *expected)
    assert len(weights.linear) == 1 or not agree(posterior(weights, 1.1 * log_set + 0.1 * len(sizes)), *expected)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_blend_with_the_map_is_the_same_sum(prior: str) -> None:
    """q(S) w(S)^(1/T), with the count prior tempered as well, against its definition."""
    rng = np.random.default_rng(5)
    weights = together([component(rng, size) for size in (4, 3, 2)], rng)
    logits, log_count = rng.normal(size=9), PRIORS[prior](9)
    members = subsets(9)
    choices = np.array([lgamma(10) - lgamma(n + 1) - lgamma(10 - n) for n in members.sum(1)])
    log_q = np.where(members, -np.logaddexp(0, -logits), -np.logaddexp(0, logits)).sum(1)
    blend = (log_w(weights) + log_count[members.sum(1)] - choices) / 10.0 + log_q
    expected = np.exp(blend - np.logaddexp.reduce(blend)) @ members
    found = posterior(weights.blended(logits, 10.0), of_sets(log_count, 10.0))
    np.testing.assert_allclose(found.present, expected, atol=1e-9)
    assert not np.allclose(posterior(weights, of_sets(log_count)).present, expected, atol=1e-3)


def test_a_gaussian_scene_is_a_quadratic_form() -> None:
    """log w(S) is what squared errors of the summed objects say."""
    rng = np.random.default_rng(0)
    canvas, drawn, kl = rng.random(30), rng.random((5, 30)), rng.random(5)
    pairs = np.array([(i, j) for j in range(5) for i in range(j)])
    gram = drawn @ drawn.T
    weights = Weights.gaussian(drawn @ canvas, gram.diagonal(), kl, pairs, gram[pairs[:, 0], pairs[:, 1]], 0.3)
    members = subsets(5).astype(float)
    squares = np.square(canvas - members @ drawn).sum(1)
    np.testing.assert_allclose(log_w(weights), (squares[0] - squares) / (2 * 0.3**2) - members @ kl, atol=1e-9)


@pytest.mark.parametrize("odds", [-3.0, 0.0, 1.0])
def test_two_thousand_independent_objects_are_a_binomial(odds: float) -> None:
    """With p(n) the binomial's share of sets the objects stay independent: log p(n | x) in closed form."""
    number = 2000
    weights = Weights(np.full(number, odds), np.empty((0, 2), int), np.empty(0))
    found = posterior(weights, np.zeros(number + 1))
    n = found.first + np.arange(len(found.log_count))
    choices = np.array([lgamma(number + 1) - lgamma(k + 1) - lgamma(number - k + 1) for k in n.tolist()])
    expected = choices + n * odds - number * np.logaddexp(0, odds)
    np.testing.assert_allclose(found.log_count, expected, atol=1e-8)
    np.testing.assert_allclose(found.present, 1 / (1 + np.exp(-odds)), atol=1e-9)
    assert abs(found.mean - number / (1 + np.exp(-odds))) < 1e-6
    # Under a uniform p(n) objects that nothing is known of leave every count as probable.
    if odds == 0:
        uniform = posterior(weights, of_sets(UNIFORM(number)))
        np.testing.assert_allclose(uniform.log_count, -log(number + 1), atol=1e-8)


def test_search_finds_the_best_set() -> None:
    """In at least 95 of 100 components of 13 and 14 objects, and the answer says that it searched."""
    rng = np.random.default_rng(1)
    right, off = 0, []
    for trial in range(100):
        weights = component(rng, 13 + trial % 2)
        log_set = of_sets(GEOMETRIC(len(weights.linear)))
        found = posterior(weights, log_set)
        _, present, best = enumerated(weights, log_set)
        right += bool((found.members == best).all())
        off.append(np.abs(found.present - present).max())
        assert found.searched.all()
    assert right >= 95
    assert np.median(off) < 0.05  # the pieces' marginals are close though a few objects are held


def test_searched_objects_are_named_and_the_others_are_exact() -> None:
    """A large component does not spoil what is said of a small one."""
    rng = np.random.default_rng(2)
    large, small = component(rng, 40), component(rng, 4)
    both = Weights(
        np.concatenate([large.linear, small.linear]),
        np.concatenate([large.pairs, small.pairs + 40]),
        np.concatenate([large.coupling, small.coupling]),
    )
    found = posterior(both, np.arange(45) * log(0.05))  # a prior that ties nothing together
    assert found.searched.tolist() == [True] * 40 + [False] * 4
    np.testing.assert_allclose(found.present[40:], enumerated(small, np.arange(5) * log(0.05))[1], atol=1e-9)
    assert found.members.sum() == found.count


def test_pieces_do_not_touch() -> None:
    """What is held separates the pieces, none of which is over the limit; a small component is one piece."""
    rng = np.random.default_rng(3)
    weights = together([component(rng, 60), component(rng, 12), component(rng, 1)], rng)
    labels = divide(weights, rng.permutation(73), 12)
    i, j = labels[weights.pairs].T
    assert ((i == j) | (i < 0) | (j < 0)).all()
    sizes = np.bincount(labels[labels >= 0])
    assert sizes.max() <= 12
    assert (labels < 0).sum() < 60
    whole = divide(weights, np.arange(73), 73)
    assert sorted(np.bincount(whole)[np.bincount(whole) > 0].tolist()) == [1, 12, 60]


def test_no_objects_are_zero_objects() -> None:
    """An empty scene has count 0 with certainty."""
    found = posterior(Weights(np.empty(0), np.empty((0, 2), int), np.empty(0)), np.zeros(1))
    assert (found.count, found.first, found.log_count.tolist()) == (0, 0, [0.0])


def test_a_count_that_is_impossible_is_not_found() -> None:
    """p(n) = 0 for all but two objects: two are found, the best two."""
    weights = Weights(np.array([3.0, 2.0, 5.0, -1.0]), np.array([[0, 2]]), np.array([4.0]))
    log_count = np.full(5, -np.inf)
    log_count[2] = 0.0
    found = posterior(weights, of_sets(log_count))
    assert (found.count, found.first, len(found.log_count)) == (2, 2, 1)
    assert np.flatnonzero(found.members).tolist() == [1, 2]
    assert found.present.sum() == pytest.approx(2)
