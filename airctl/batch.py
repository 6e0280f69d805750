"""One batch on several processes: each has some of its rows, and what is drawn or kept of a batch is that of all rows.

While ``sharing`` is entered, a process has the scenes ``group.rows(batch)`` of a batch of ``batch`` scenes. Random
numbers are drawn for all of them, by every process from the same generator, and each takes its own: so the noise of a
scene depends on its place in the batch, and not on how many processes share it. Drawing costs a few thousandths of a
step (docs/several-processes.md). Where nothing is shared, these are torch's own functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from airctl.group import Group


@dataclass(frozen=True)
class _Shared:
    group: Group
    batch: int

    def all_and_mine(self, number: int) -> tuple[int, slice]:
        """How many rows all have where this process has ``number``, and which of them are its own.

        A scene may have several rows, one after the other, but all have as many.
        """
        scenes = self.group.rows(self.batch)
        each, rest = divmod(number, scenes.stop - scenes.start)
        if rest or not each:
            raise ValueError(f"{number} rows are not those of {scenes.stop - scenes.start} scenes")
        return self.batch * each, slice(scenes.start * each, scenes.stop * each)


_SHARED: ContextVar[_Shared | None] = ContextVar("_SHARED", default=None)


@contextmanager
def sharing(group: Group, batch: int) -> Iterator[None]:
    """Share a batch of ``batch`` scenes among ``group``."""
    token = _SHARED.set(_Shared(group, batch) if group.size > 1 else None)
    try:
        yield
    finally:
        _SHARED.reset(token)


def _drawn(shape: Sequence[int], draw: Callable[[Sequence[int]], Tensor]) -> Tensor:
    if (shared := _SHARED.get()) is None:
        return draw(shape)
    every, mine = shared.all_and_mine(shape[0])
    return draw((every, *shape[1:]))[mine]


def normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal numbers for the rows [b, ...] of this process, on the generator's device."""
    return _drawn(shape, lambda s: torch.randn(tuple(s), generator=generator, device=generator.device))


def uniform(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers from [0, 1) for the rows [b, ...] of this process, on the generator's device."""
    return _drawn(shape, lambda s: torch.rand(tuple(s), generator=generator, dtype=dtype, device=generator.device))


def categories(p: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """``number`` draws, with replacement, from each of the rows ``p`` [b, K] of probabilities, int [b, number]."""
    if (shared := _SHARED.get()) is None:
        return torch.multinomial(p, number, replacement=number > 1, generator=generator)
    every, mine = shared.all_and_mine(len(p))
    all_p = p.new_ones(every, p.shape[1])  # whatever the others' are: they take as many numbers from the generator
    all_p[mine] = p
    return torch.multinomial(all_p, number, replacement=number > 1, generator=generator)[mine]


def whole(rows: Tensor) -> Tensor:
    """The rows [B, ...] of all processes where this one has ``rows`` [b, ...]; a constant where they are shared."""
    if (shared := _SHARED.get()) is None:
        return rows
    every, mine = shared.all_and_mine(len(rows))
    kept = rows.new_zeros(every, *rows.shape[1:], dtype=torch.uint8 if rows.dtype == torch.bool else rows.dtype)
    kept[mine] = rows.detach()
    shared.group.add(kept)
    return kept.to(rows.dtype)


def mine(number: int) -> slice:
    """Which of ``number`` things, known to all processes, are this one's to work on; there may be none."""
    shared = _SHARED.get()
    return slice(0, number) if shared is None else shared.group.rows(number)
