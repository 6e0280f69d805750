"""Counts of independent groups of objects put together, in log space: thousands of them neither over- nor underflow.

A group g has weights w_g(k), k = 0..m_g, of k objects. Weights of the total are convolutions,

    w(n) = sum over k_1 + ... + k_G = n of prod_g w_g(k_g),

and with max in place of the sum the same formula finds the best shares k_g. A balanced tree of pairwise convolutions
gives both, and on its way down what each group sees of all others. The number of operations is the square of that of
the objects, but cheap ones (0.3 s for 2 000 objects that overlap with none, 2.3 s for 8 000); memory is M log M.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

AT_ONCE = 1 << 18  # numbers

Together = Callable[[np.ndarray], np.ndarray]  # of many log weights along the last axis to one


def log_sum(log_weights: np.ndarray) -> np.ndarray:
    """log sum exp along the last axis; -inf of nothing but -inf."""
    highest = log_weights.max(-1, keepdims=True)
    highest[highest == -np.inf] = 0
    with np.errstate(divide="ignore"):
        out: np.ndarray = np.log(np.exp(log_weights - highest).sum(-1)) + highest[..., 0]
    return out


def best(log_weights: np.ndarray) -> np.ndarray:
    """The highest along the last axis."""
    out: np.ndarray = log_weights.max(-1)
    return out


class CountTree:
    """A balanced tree over the log weights [m_g + 1] of groups g = 1..G, G >= 1.

    ``together`` is ``log_sum``, over all shares, or ``best``, which keeps the best.
    """

    def __init__(self, groups: Sequence[np.ndarray], together: Together) -> None:
        self.together = together
        self.levels = [list(groups)]
        while len(self.levels[-1]) > 1:
            level = self.levels[-1]
            pairs = [self._convolve(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
            self.levels.append(pairs + level[2 * len(pairs) :])

    @property
    def total(self) -> np.ndarray:
        """log w(n) of all groups together, [sum of m_g + 1]."""
        return self.levels[-1][0]

    def others(self, log_prior: np.ndarray) -> list[np.ndarray]:
        """For each group: the log of what all else weighs if it has k objects, [m_g + 1].

        That is sum_n log_prior(n) w(n - k of the other groups), with ``log_prior`` [sum of m_g + 1].
        """
        seen = [log_prior]
        for level in self.levels[-2::-1]:
            below = []
            for i in range(len(level)):
                above, sibling = seen[i // 2], i ^ 1
                below.append(self._slide(above, level[sibling]) if sibling < len(level) else above)
            seen = below
        return seen

    def shares(self, total: int) -> list[int]:
        """How many of ``total`` objects each group has in the best sharing; for ``best``."""
        given = [total]
        for level in self.levels[-2::-1]:
            below: list[int] = []
            for i, n in enumerate(given):
                below += _share(level[2 * i], level[2 * i + 1], n) if 2 * i + 1 < len(level) else [n]
            given = below
        return given

    def _convolve(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
        return self._slide(np.pad(longer, len(shorter) - 1, constant_values=-np.inf), shorter[::-1])

    def _slide(self, weights: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """All of weights[n + k] + kernel[k] put together for each n, [len(weights) - len(kernel) + 1]."""
        windows = sliding_window_view(weights, len(kernel))
        rows = max(1, AT_ONCE // len(kernel))
        return np.concatenate([self.together(windows[n : n + rows] + kernel) for n in range(0, len(windows), rows)])


def _share(a: np.ndarray, b: np.ndarray, total: int) -> list[int]:
    """The best k of ``total`` for ``a``, and the rest."""
    low, high = max(0, total - len(b) + 1), min(total, len(a) - 1)
    k = low + int(np.argmax(a[low : high + 1] + b[total - high : total - low + 1][::-1]))
    return [k, total - k]
