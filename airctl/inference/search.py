"""The best set of objects where there are too many for a table: single flips, flips of pairs, whole pieces.

Starting with none, the flip (an object added or dropped) that gains most is made, then that of two neighbours at once
(two into one, one for another), then pieces of up to a dozen of the least certain objects are set to their best given
all others; until nothing gains. Moves that do not touch each other are made in the same round, so that the number of
rounds does not grow with the picture.
"""

from __future__ import annotations

import numpy as np

from airctl.inference.pieces import Weights, divide, tables

ROUNDS = 20  # of all moves in turn; a few are enough
TINY = 1e-9  # nats: less is no gain


def search(weights: Weights, inside: np.ndarray, slope: float, most: int) -> np.ndarray:
    """The best set of the objects ``inside`` bool [M] with ``slope`` nats for each one more, bool [M]."""
    members = np.zeros(len(weights.linear), bool)
    for _ in range(ROUNDS):
        before = members
        members = _flip(weights, members, inside, slope)
        members = _flip_pairs(weights, members, inside, slope)
        members = _set_pieces(weights, members, inside, slope, most)
        if (members == before).all():
            break
    return members


def gains(weights: Weights, members: np.ndarray, slope: float) -> np.ndarray:
    """What log w gains if an object is flipped, [M]."""
    return np.where(members, -1, 1) * (weights.pull(members) + slope)


def _flip(weights: Weights, members: np.ndarray, inside: np.ndarray, slope: float) -> np.ndarray:
    """Make single flips until none gains; in a round all that are the best of their neighbourhood."""
    here, there, _ = weights.ends
    while True:
        gain = np.where(inside, gains(weights, members, slope), -np.inf)
        rank = _ranks(gain)
        around = rank.copy()
        np.maximum.at(around, here, rank[there])
        made = (rank == around) & (rank >= 0)
        if not made.any():
            return members
        members = members ^ made


def _flip_pairs(weights: Weights, members: np.ndarray, inside: np.ndarray, slope: float) -> np.ndarray:
    """Make the flips of two neighbours that gain, once each; in a round all that are the best where they are."""
    i, j = weights.pairs.T
    here, there, _ = weights.ends
    while True:
        gain, sign = gains(weights, members, slope), np.where(members, -1, 1)
        both = np.where(inside[i], gain[i] + gain[j] - weights.coupling * sign[i] * sign[j], -np.inf)
        rank = _ranks(both)
        best = np.full(len(members), -1)
        np.maximum.at(best, i, rank)
        np.maximum.at(best, j, rank)
        around = best.copy()
        np.maximum.at(around, here, best[there])
        made = (rank >= 0) & (rank == around[i]) & (rank == around[j])
        if not made.any():
            return members
        members = members.copy()
        members[weights.pairs[made]] ^= True


def _set_pieces(weights: Weights, members: np.ndarray, inside: np.ndarray, slope: float, most: int) -> np.ndarray:
    """Set pieces of the least certain objects to their best, given the others."""
    labels = divide(weights, certain_last(weights, members, slope), most)
    labels = np.where(inside, labels, -1)
    better = members.copy()
    for table in tables(weights, labels, members):
        better[table.objects] = table.best_of_all(slope)
    gain = _log_w(weights, better, slope) - _log_w(weights, members, slope)
    return better if gain > TINY else members


def certain_last(weights: Weights, members: np.ndarray, slope: float) -> np.ndarray:
    """The objects in the order of what their flip would lose, int [M]."""
    return np.argsort(np.abs(gains(weights, members, slope)), kind="stable")


def _log_w(weights: Weights, members: np.ndarray, slope: float) -> float:
    return float(((weights.pull(members) + weights.linear) / 2 + slope) @ members)


def _ranks(gain: np.ndarray) -> np.ndarray:
    """The place of each of ``gain`` in rising order, so that no two are equal; -1 where there is nothing to gain."""
    rank = np.empty(len(gain), int)
    rank[np.argsort(gain, kind="stable")] = np.arange(len(gain))
    return np.where(gain > TINY, rank, -1)
