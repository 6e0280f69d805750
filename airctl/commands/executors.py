"""Where the pieces of a large command are carried out: the one seam between a command and machines.

A command cuts its work into pieces, and an executor calls one function with each of them: in processes of this machine
(``processes.py``) or as tasks of a Ray cluster (``ray_cluster.py``). Neither knows what the pieces are, and no command
knows where they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

from airctl.errors import AirctlError, ConfigError

LOCAL = "local"
Piece = TypeVar("Piece")
Answer = TypeVar("Answer")
Say = Callable[[str], None]


class Executor(Protocol):
    """Entered, it is ready to work; left, nothing of it runs any more."""

    def carry_out(
        self,
        work: Callable[[Piece], Answer],
        pieces: Sequence[Piece],
        ended: Callable[[int, Answer | AirctlError], None],
        look: Callable[[], int | None],
    ) -> None:
        """Call ``work``, a function of a module, with each of ``pieces`` in a process of its own.

        ``ended`` is told the place of each piece that ended and what came of it: the answer, the ``AirctlError`` that
        ``work`` raised, or one that says how its process was lost. ``look`` is called several times a second and
        returns the signal that asked to stop, if one did: then no piece begins, those that run are asked to stop, and
        ``ended`` is told what they come to. Of a piece that never began it is told nothing, or that it was stopped.
        """
        ...

    def room(self) -> int:
        """How many pieces can run at once now, at least 1."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def watching(watch: Callable[[], None], stopped: Callable[[], int | None]) -> Callable[[], int | None]:
    """A ``look`` of ``carry_out`` that says what ``stopped`` says, and calls ``watch`` once a second."""
    before = -1.0

    def look() -> int | None:
        nonlocal before
        if before < 0 or time.monotonic() - before >= 1:
            watch()
            before = time.monotonic()
        return stopped()

    return look


def executor(
    on: str | Executor, jobs: int | None = None, cores: int = 1, gpus: float = 0, say: Say = lambda message: None
) -> Executor:
    """What ``on`` names: ``local``, ``ray`` or ``ray://HOST:PORT``; an executor is taken as it is.

    At most ``jobs`` pieces run at once, each on ``cores`` cores and ``gpus`` GPUs. ``ConfigError`` for another name,
    and for a package that is missing.
    """
    if not isinstance(on, str):
        return on
    if on == LOCAL:
        from airctl.commands.processes import Processes

        if gpus:
            raise ConfigError(
                f"gpus={gpus:g}: only a cluster hands out GPUs; say on=ray, or leave it out", "gpus", "on"
            )
        return Processes(jobs or max(1, (os.cpu_count() or 1) // cores))
    if on == "ray" or on.startswith("ray://"):
        from airctl.commands.ray_cluster import RayCluster

        return RayCluster(on, jobs, cores, gpus, say)
    raise ConfigError(f"on={on}: expected local, ray or ray://HOST:PORT", "on")
