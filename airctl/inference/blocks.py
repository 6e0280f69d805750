"""The posterior over all sets of hundreds or thousands of objects, block by block.

    p(S | x)  proportional to  w(S) h(|S|),    log w(S) = sum_{i in S} a_i - sum_{i < j in S} c_ij

w factorises over the components of the overlap graph; the count prior h does not, so it waits until the counts of the
components have been convolved. What is exact and what is not:

- Components of at most a dozen objects are summed over all their subsets: with only such, p(n | x), the probability of
  each object and the most probable set of n* objects are exact for any h. Components are independent given their
  counts, and the counts are tied together by h: the sums know that.
- In larger components the best set is searched, and the most certain of their objects are held as that set has them,
  as few as leave pieces of at most a dozen; these pieces are summed exactly given those. ``searched`` says of which
  objects this is so. An object that is held has the probability of its own flip, all others being as they are.

docs/subsets.md has the derivation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airctl.inference.counts import CountTree, Together, best, log_sum
from airctl.inference.pieces import Table, Weights, divide, tables
from airctl.inference.search import certain_last, search

MOST = 12  # objects of a piece whose subsets are summed: 4 096
FAR = 50.0  # nats below the most probable count, where log p(n | x) is cut off


@dataclass(frozen=True)
class SetPosterior:
    """What is known of the sets of M objects."""

    first: int  # the least count that is not hopeless
    log_count: np.ndarray  # log p(n | x) for n = first, first + 1, ...
    count: int  # n*, the most probable count
    members: np.ndarray  # bool [M] the most probable set of n* objects
    present: np.ndarray  # [M] the probability of each object
    searched: np.ndarray  # bool [M] in a component too large to be summed: approximate

    @property
    def mean(self) -> float:
        """The expected count."""
        return float(np.exp(self.log_count) @ (self.first + np.arange(len(self.log_count))))


def of_sets(log_count: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """log h(n) = log p(n) / C(M, n), one of the sets of n objects, to the power 1/T, [M + 1] -> [M + 1]."""
    most = len(log_count) - 1
    factorials = np.concatenate([[0.0], np.log(np.arange(1, most + 1)).cumsum()])
    choices = factorials[-1] - factorials - factorials[::-1]
    share: np.ndarray = (log_count - choices) / temperature
    return share


def posterior(weights: Weights, log_set: np.ndarray, most: int = MOST) -> SetPosterior:
    """The posterior of the sets of M objects, of which one of n has the prior weight ``log_set`` [M + 1], nats."""
    number = len(weights.linear)
    labels = divide(weights, np.arange(number), number)
    searched = np.bincount(labels, minlength=number)[labels] > most
    held, slope = np.zeros(number, bool), 0.0
    if searched.any():
        held, slope = _search(weights, searched, log_set, most)
        labels = divide(weights, certain_last(weights, held, slope), most)
    return _sum(weights, tables(weights, labels, held), held & (labels < 0), slope, log_set, searched)


def _search(weights: Weights, searched: np.ndarray, log_set: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """The best set of the ``searched`` objects, and what one object more costs where its count is: it is linearised."""
    slope = 0.0
    for _ in range(3):
        members = search(weights, searched, slope, most)
        others = ~searched & (weights.linear + slope > 0)  # a guess that is good enough for a slope
        n = min(int(members.sum() + others.sum()), len(members) - 1)
        with np.errstate(invalid="ignore"):
            step = float(log_set[n + 1] - log_set[n])
        if not np.isfinite(step) or step == slope:
            break
        slope = step
    return members, slope


def _sum(
    weights: Weights,
    pieces: list[Table],
    held: np.ndarray,
    slope: float,
    log_set: np.ndarray,
    searched: np.ndarray,
) -> SetPosterior:
    """The sum over the sets of all ``pieces`` beside the objects ``held`` bool [M]."""
    number, least = len(held), int(held.sum())
    free = sum(table.objects.size for table in pieces)
    prior = log_set[least : least + free + 1]
    summed = CountTree(_rows(pieces, log_sum), log_sum)
    first, log_count = _trimmed(summed.total + prior, least)
    count = first + int(log_count.argmax())
    shares = CountTree(_rows(pieces, best), best).shares(count - least)
    members, beside = held.copy(), summed.others(prior)
    present = np.full(number, np.nan)
    start = 0
    for table in pieces:
        stop = start + len(table.objects)
        members[table.objects] = table.best(np.array(shares[start:stop]))
        present[table.objects] = table.marginals(np.stack(beside[start:stop]))
        start = stop
    odds = weights.pull(members) + slope
    present = np.where(np.isnan(present), 0.5 + 0.5 * np.tanh(odds / 2), present)
    return SetPosterior(first, log_count, count, members, present, searched)


def _rows(pieces: list[Table], together: Together) -> list[np.ndarray]:
    """The weights by count of each piece; one of nothing where there are no objects."""
    return [row for table in pieces for row in table.by_count(together)] or [np.zeros(1)]


def _trimmed(log_weight: np.ndarray, least: int) -> tuple[int, np.ndarray]:
    """log p(n | x) where it is not hopeless, and the count that it begins with."""
    log_count = log_weight - np.logaddexp.reduce(log_weight)
    likely = np.flatnonzero(log_count > log_count.max() - FAR)
    return least + int(likely[0]), log_count[likely[0] : likely[-1] + 1]
