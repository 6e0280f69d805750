"""Counts of independent groups of objects, put together: in log space, so that thousands of them neither over- nor
underflow.

A group g has weights w_g(k), k = 0..m_g, of k objects. Weights of the total are convolutions,

    w(n) = sum over k_1 + ... + k_G = n of prod_g w_g(k_g),

and with max in place of the sum the same formula finds the best shares k_g. A balanced tree of pairwise convolutions
gives both, and on its way down what each group sees of all others. Time grows as the square of the number of objects
(0.3 s for 2 000, which is little beside the drawing of them), memory as M log M.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class CountTree:
    """A balanced tree over the log weights [m_g + 1] of groups g = 1..G, G >= 1.

    ``add`` is ``np.logaddexp``, which sums over all shares, or ``np.maximum``, which keeps the best.
    """

    def __init__(self, groups: Sequence[np.ndarray], add: np.ufunc) -> None:
        self.add = add
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
                below.append(self._correlate(above, level[sibling]) if sibling < len(level) else above)
            seen = below
        return seen

    def shares(self, total: int) -> list[int]:
        """How many of ``total`` objects each group has in the best sharing; for ``np.maximum``."""
        given = [total]
        for level in self.levels[-2::-1]:
            below: list[int] = []
            for i, n in enumerate(given):
                below += _share(level[2 * i], level[2 * i + 1], n) if 2 * i + 1 < len(level) else [n]
            given = below
        return given

    def _convolve(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
        out = np.full(len(a) + len(b) - 1, -np.inf)
        for k, weight in enumerate(shorter):
            part = out[k : k + len(longer)]
            self.add(part, longer + weight, out=part)
        return out

    def _correlate(self, above: np.ndarray, sibling: np.ndarray) -> np.ndarray:
        size = len(above) - len(sibling) + 1
        if size < len(sibling):
            return np.array([self.add.reduce(sibling + above[k : k + len(sibling)]) for k in range(size)])
        out = np.full(size, -np.inf)
        for k, weight in enumerate(sibling):
            self.add(out, above[k : k + size] + weight, out=out)
        return out


def _share(a: np.ndarray, b: np.ndarray, total: int) -> list[int]:
    """The best k of ``total`` for ``a``, and the rest."""
    low, high = max(0, total - len(b) + 1), min(total, len(a) - 1)
    k = low + int(np.argmax(a[low : high + 1] + b[total - high : total - low + 1][::-1]))
    return [k, total - k]
