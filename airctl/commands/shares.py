"""Pictures shared among processes: each finds what is in its own, and the first puts all of it in order again.

All processes go through the same names in the same order. A file belongs to one of them, by the checksum of its name,
with all its pages; a stack is shared picture by picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from airctl.errors import InputFileError
from airctl.group import Group
from airctl.inference import Found
from airctl.scenes.own_pictures import Refuse

_END = 1 << 62


class Shares:
    """Which pictures are this process's, and which place each has among all."""

    def __init__(self, part: int, parts: int, group: Group) -> None:
        """Those of part ``part`` (from 1) of ``parts``, and of them the share of this process of ``group``."""
        self.part, self.parts, self.group = part, parts, group
        self.place, self.unit = 0, ""

    def __call__(self, unit: str) -> bool:
        """Whether it is this process's. Asked of each unit in turn, of a file before and for each of its pages."""
        self.place += unit != self.unit
        self.unit = unit
        turn = _checksum(unit) // self.parts % self.group.size
        return part_of(unit, self.parts) == self.part and turn == self.group.rank


def part_of(unit: str, parts: int) -> int:
    """Which of so many parts, from 1, has a picture of a stack, or a file with all its pages, by its name alone."""
    return _checksum(unit) % parts + 1


def _checksum(unit: str) -> int:
    return zlib.crc32(unit.encode("utf-8", "surrogateescape"))


class Merged:
    """What all processes have found, in the order of the pictures; the leader's alone, the others get nothing."""

    def __init__(self, group: Group, shares: Shares, refuse: Refuse | None) -> None:
        self.group, self.shares = group, shares
        self._refuse, self._refused = refuse, list[InputFileError]()
        self._told = set[str]()

    @property
    def refuse(self) -> Refuse | None:
        """To be told of unreadable files: the leader tells the person, of each once."""
        return self._refuse if self.group.size == 1 or self._refuse is None else self._refused.append

    def __call__(self, batches: Iterator[Sequence[tuple[int, Found]]]) -> Iterator[Found]:
        """From batches of (place, what was found there), the places rising."""
        if self.group.size == 1:
            yield from (found for batch in batches for _, found in batch)
            return
        waiting: list[tuple[int, Found]] = []
        until = 0
        while until < _END:
            batch = next(batches, None)
            reached = _END if batch is None else self.shares.place  # of what is before it nothing more comes
            parts = self.group.gathered((reached, list(batch or ()), self._refused))
            self._refused.clear()
            until = min(self.group.each(reached))
            waiting += [one for _, some, _ in parts for one in some]
            for error in (error for _, _, refused in parts for error in refused):
                if str(error) not in self._told and self._refuse is not None:
                    self._told.add(str(error))
                    self._refuse(error)
            waiting.sort(key=_place)  # stable: the pages of a file stay in their order
            yield from (found for place, found in waiting if place < until)
            waiting = [(place, found) for place, found in waiting if place >= until]


def _place(one: tuple[int, Found]) -> int:
    return one[0]
