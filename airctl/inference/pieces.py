"""Weights of sets of objects that are the exponential of a quadratic form, and exact tables of them piece by piece.

    log w(S) = sum_{i in S} a_i - sum_{i < j in S} c_ij

Only objects that overlap have a c_ij, so that w factorises over the connected components of their graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from airctl.inference.counts import Together


@dataclass(frozen=True)
class Weights:
    """log w(S) of the sets of M objects, float64."""

    linear: np.ndarray  # [M] a_i
    pairs: np.ndarray  # int64 [P, 2], i != j, each pair once
    coupling: np.ndarray  # [P] c_ij

    @classmethod
    def gaussian(
        cls, b: np.ndarray, squares: np.ndarray, kl: np.ndarray, pairs: np.ndarray, gram: np.ndarray, sd: float
    ) -> Weights:
        """Those of p(x, S) without p(S): b_i = <x, y_i>, |y_i|^2 and KL (nats) [M], G_ij = <y_i, y_j> [P].

        -|x - sum of y_i|^2 / (2 sd^2) - sum of kl_i, less the same for the empty set.
        """
        return cls((b - squares / 2) / sd**2 - kl, pairs, gram / sd**2)

    def blended(self, logits: np.ndarray, temperature: float) -> Weights:
        """q(S) w(S)^(1/T) of the map's ``logits`` [M], up to a factor that is the same for all sets."""
        return Weights(self.linear / temperature + logits, self.pairs, self.coupling / temperature)

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each pair from both sides: objects i, their neighbours j, c_ij, [2 P] each, in the order of i."""
        here, there = np.concatenate([self.pairs, self.pairs[:, ::-1]]).T
        order = np.argsort(here, kind="stable")
        return here[order], there[order], np.tile(self.coupling, 2)[order]

    @cached_property
    def neighbours(self) -> list[np.ndarray]:
        """The neighbours of each object."""
        here, there, _ = self.ends
        return np.split(there, np.searchsorted(here, np.arange(1, len(self.linear))))

    def pull(self, members: np.ndarray) -> np.ndarray:
        """What each object adds to log w beside those of ``members`` bool [M], [M]; whether it is one or not."""
        here, there, coupling = self.ends
        pushed = np.bincount(here, coupling * members[there], len(self.linear))
        return self.linear - pushed


def divide(weights: Weights, order: np.ndarray, most: int) -> np.ndarray:
    """A label for each object's piece, int [M]: objects of different pieces do not overlap; -1 belongs to none.

    Objects join in the given ``order`` [M], unless their piece grew over ``most`` by it: those are left out. What is
    left out of a component is what comes last, and a component of at most ``most`` objects is one piece.
    """
    root = np.full(len(order), -1)
    size = np.ones(len(order), int)

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i in order.tolist():
        joined = {find(j) for j in weights.neighbours[i].tolist() if root[j] >= 0}
        total = 1 + sum(size[j] for j in joined)
        if total <= most:
            root[i], size[i] = i, total
            root[list(joined)] = i
    return np.array([find(i) if root[i] >= 0 else -1 for i in range(len(order))], int)


@dataclass(frozen=True)
class Table:
    """All sets of each of P pieces of k objects."""

    objects: np.ndarray  # int [P, k]
    log_w: np.ndarray  # [P, 2^k] of all sets, beside the objects of no piece that are held

    @property
    def members(self) -> np.ndarray:
        """Which objects of a piece each set has, bool [2^k, k]."""
        return subsets(self.objects.shape[1])

    def by_count(self, together: Together) -> np.ndarray:
        """The weights of all sets of n objects put together, [P, k + 1]."""
        counts = self.members.sum(1)
        columns = [together(self.log_w[:, counts == n]) for n in range(self.objects.shape[1] + 1)]
        return np.stack(columns, 1)

    def marginals(self, beside: np.ndarray) -> np.ndarray:
        """The probability of each object, [P, k]; ``beside`` [P, k + 1] is the log weight of all else by the count."""
        log = self.log_w + beside[:, self.members.sum(1)]
        weight = np.exp(log - log.max(1, keepdims=True))
        marginals: np.ndarray = (weight @ self.members) / weight.sum(1, keepdims=True)
        return marginals

    def best(self, counts: np.ndarray) -> np.ndarray:
        """The best set of ``counts`` [P] objects in each piece, bool [P, k]."""
        other = self.members.sum(1) != counts[:, None]
        best: np.ndarray = self.members[np.where(other, -np.inf, self.log_w).argmax(1)]
        return best

    def best_of_all(self, slope: float) -> np.ndarray:
        """The best set in each piece if each object has ``slope`` nats more, bool [P, k]."""
        best: np.ndarray = self.members[(self.log_w + slope * self.members.sum(1)).argmax(1)]
        return best


def tables(weights: Weights, labels: np.ndarray, members: np.ndarray) -> list[Table]:
    """The tables of all pieces, those of one size together; objects labelled -1 are held as ``members`` [M] says."""
    linear = weights.pull(members & (labels < 0))
    order = np.argsort(labels, kind="stable")[(labels < 0).sum() :]
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    place = np.empty(len(labels), int)
    place[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    same = (labels[weights.pairs[:, 0]] == labels[weights.pairs[:, 1]]) & (labels[weights.pairs[:, 0]] >= 0)
    inner = _Inner(weights.pairs[same], weights.coupling[same], labels, place)
    found = []
    for size in np.unique(sizes).tolist():
        objects = order[starts[sizes == size][:, None] + np.arange(size)]
        found.append(Table(objects, _log_w(linear[objects], inner(objects))))
    return found


@dataclass(frozen=True)
class _Inner:
    """The couplings within pieces."""

    pairs: np.ndarray  # int [P, 2]
    coupling: np.ndarray  # [P]
    labels: np.ndarray  # [M]
    place: np.ndarray  # [M] of an object in its piece

    def __call__(self, objects: np.ndarray) -> np.ndarray:
        """c_ij of pieces ``objects`` [Q, k], symmetric, [Q, k, k]."""
        pieces, size = objects.shape
        row = np.full(len(self.labels), -1)
        row[self.labels[objects[:, 0]]] = np.arange(pieces)
        rows = row[self.labels[self.pairs[:, 0]]]
        mine = rows >= 0
        i, j = self.place[self.pairs[mine]].T
        out = np.zeros((pieces, size, size))
        out[rows[mine], i, j] = out[rows[mine], j, i] = self.coupling[mine]
        return out


def _log_w(linear: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    """All sets of pieces with a_i ``linear`` [P, k] and c_ij ``coupling`` [P, k, k]: [P, 2^k], object i being bit i."""
    pieces, size = linear.shape
    out = np.zeros((pieces, 1))
    for i in range(size):
        beside = coupling[:, i, :i] @ subsets(i).T
        out = np.concatenate([out, out + linear[:, i : i + 1] - beside], 1)
    return out


def subsets(size: int) -> np.ndarray:
    """All subsets of ``size`` objects, bool [2^size, size]; bit i of a subset's number says whether i is in it."""
    return (np.arange(2**size)[:, None] >> np.arange(size) & 1).astype(bool)
