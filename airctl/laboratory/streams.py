"""Statistics of numbers and of long vectors that are seen one at a time and never stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor


class Moments:
    """Mean and variance of numbers seen one at a time, with the standard error of each (Pebay 2008, one by one)."""

    def __init__(self) -> None:
        self.number, self.mean = 0, 0.0
        self.second = self.third = self.fourth = 0.0  # sums of powers of the distance from the mean

    def add(self, value: float) -> None:
        before, self.number = self.number, self.number + 1
        n = self.number
        off = value - self.mean
        part = off / n
        grown = off * part * before
        self.mean += part
        self.fourth += grown * part**2 * (n * n - 3 * n + 3) + 6 * part**2 * self.second - 4 * part * self.third
        self.third += grown * part * (n - 2) - 3 * part * self.second
        self.second += grown

    def variance(self) -> float:
        """nan for fewer than two numbers."""
        return self.second / (self.number - 1) if self.number > 1 else math.nan

    def mean_error(self) -> float:
        return math.sqrt(self.variance() / self.number) if self.number > 1 else math.nan

    def variance_error(self) -> float:
        return math.sqrt(max(0.0, self.fourth / self.number - self.variance() ** 2) / self.number)


Slices = Mapping[str, slice]
WHOLE: Slices = {"whole": slice(None)}
BLOCK = 2**15  # numbers, 128 KiB


def _blocks(slices: Slices, length: int) -> Iterator[tuple[str, slice]]:
    """Each of ``slices`` of vectors of ``length`` in blocks of which a few stay in a core's cache."""
    for name, where in slices.items():
        start, stop, _ = where.indices(length)
        for first in range(start, stop, BLOCK):
            yield name, slice(first, min(first + BLOCK, stop))


def inner(a: Tensor, b: Tensor, slices: Slices) -> dict[str, float]:
    """a . b in each of ``slices``, which part the vectors, and over "all" of them."""
    found = {name: float(a[where] @ b[where]) for name, where in slices.items()}
    return found | {"all": sum(found.values())}


class Stream:
    """Mean and variance of vectors seen one at a time (Welford 1962), in float32 like the vectors.

    For each of ``slices`` and for "all", ``norms`` has the vectors' norms, and ``spread`` the terms whose mean is the
    trace of the covariance there: one a vector after the first, so that the trace gets a standard error. ``together``
    names slices of which ``norms`` also has the norm as one.
    """

    def __init__(self, slices: Slices = WHOLE, together: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        self.number = 0
        self.mean = self.squares = torch.zeros(())
        self.slices, self.together = slices, together
        self.norms = {name: Moments() for name in (*slices, *together, "all")}
        self.spread = {name: Moments() for name in (*slices, "all")}

    def add(self, vector: Tensor) -> None:
        self.number += 1
        if self.number == 1:
            self.mean, self.squares = torch.zeros_like(vector), torch.zeros_like(vector)
        left = 1 - 1 / self.number  # of the distance from the mean, once the mean has moved
        lengths, distances = dict.fromkeys(self.slices, 0.0), dict.fromkeys(self.slices, 0.0)
        for name, where in _blocks(self.slices, len(vector)):
            part, mean = vector[where], self.mean[where]
            off = part - mean
            mean.add_(off, alpha=1 / self.number)
            self.squares[where].addcmul_(off, off, value=left)
            lengths[name] += float(part @ part)
            distances[name] += float(off @ off)
        joined = {name: sum(lengths[part] for part in parts) for name, parts in self.together.items()}
        lengths, distances = (values | {"all": sum(values.values())} for values in (lengths, distances))
        for name, length in (lengths | joined).items():
            self.norms[name].add(math.sqrt(length))
        if self.number > 1:
            for name, distance in distances.items():
                self.spread[name].add(left * distance)

    def variances(self) -> Tensor:
        """The variance of each coordinate, [P]; nan for fewer than two vectors."""
        return self.squares / (self.number - 1) if self.number > 1 else torch.full_like(self.squares, math.nan)


class BiasTest:
    """Is the mean of vectors zero, in each of ``slices`` and in all? One half says where to look, the other is tested.

    Along any direction chosen without them, the later vectors are draws of one number, and their mean over its standard
    error follows Student's t if there is no bias: an honest test in any number of dimensions.
    """

    def __init__(self, samples: int, slices: Slices = WHOLE) -> None:
        self.half, self.number, self.slices = samples // 2, 0, slices
        self.mean = self.direction = torch.zeros(())  # of all, and of the first half
        self.lengths: dict[str, float] = {}  # of the direction
        self.squares = dict.fromkeys((*slices, "all"), 0.0)  # sums of the vectors' squared norms
        self.along = {name: Moments() for name in self.squares}

    def add(self, difference: Tensor | None) -> None:
        """See one more vector; None is zero, and as long as there was no other nothing is kept of them."""
        self.number += 1
        if difference is not None:
            if not self.mean.dim():
                self.mean = torch.zeros_like(difference)
            self.mean.lerp_(difference, 1 / self.number)
            for name, square in inner(difference, difference, self.slices).items():
                self.squares[name] += square
        elif self.mean.dim():
            self.mean.mul_(1 - 1 / self.number)
        if self.number == self.half:
            self.direction = self.mean.clone()
        if self.number <= self.half:
            return
        products = dict.fromkeys(self.along, 0.0)
        if difference is not None and self.direction.dim():
            if not self.lengths:
                squares = inner(self.direction, self.direction, self.slices)
                self.lengths = {name: max(math.sqrt(square), 1e-30) for name, square in squares.items()}
            products = inner(self.direction, difference, self.slices)
        for name, product in products.items():
            self.along[name].add(product / self.lengths.get(name, 1.0))

    def norm(self, name: str = "all") -> float:
        """The norm of the mean of all, less what chance adds: E ||mean||^2 = ||bias||^2 + trace(covariance) / M."""
        if not self.mean.dim():
            return 0.0
        square = float(self.mean[self.slices.get(name, slice(None))].double().square().sum())
        trace = max(0.0, self.squares[name] - self.number * square) / max(1, self.number - 1)
        return math.sqrt(max(0.0, square - trace / self.number))

    def interval(self, name: str = "all") -> tuple[float, float] | None:
        """95 % confidence for the bias along the direction; it is at most the bias itself."""
        along = self.along[name]
        if along.number < 2:
            return None
        reach = 1.96 * along.mean_error()
        return along.mean - reach, along.mean + reach

    def p_value(self, name: str = "all", rounding: float = 0.0) -> float | None:
        """Of no bias larger than ``rounding``; one-sided, as a bias points where the first half points."""
        along = self.along[name]
        if along.number < 2:
            return None
        beyond = along.mean - rounding
        if beyond <= 0 and not along.second:
            return 1.0
        t, free = beyond / max(along.mean_error(), 1e-300), along.number - 1
        # Student's t as a normal number (Abramowitz & Stegun 26.7.8): with few samples the tails are heavier.
        z = t * (1 - 1 / (4 * free)) / math.sqrt(1 + t * t / (2 * free))
        return 0.5 * math.erfc(z / math.sqrt(2))
