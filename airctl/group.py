"""The processes of one job, as torchrun starts them: which of them this is, what they tell and add up for one another.

Alone, which is usual, a process is a group of one: its share of anything is all of it, and nothing is sent. Under
torchrun (or any launcher that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT) tensors of the CPU go through gloo
and those of GPUs through nccl. Everything here has to be called by all processes of the group, in the same order.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from airctl.errors import AirctlError, ConfigError, GroupError

T = TypeVar("T")
_SAYS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # of the environment, what a process must know
_PATIENCE = timedelta(days=1)  # for one that works while the others wait; that one has ended is known at once


class Group:
    """A process alone, and what a process of several can do."""

    rank, size = 0, 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def rows(self, number: int) -> slice:
        """This process's share of ``number`` things: shares differ by one at most, and are in the order of ranks."""
        return slice(number * self.rank // self.size, number * (self.rank + 1) // self.size)

    def add(self, tensor: Tensor) -> None:
        """Let ``tensor`` be, in every process, the sum of all processes'; of the same bytes in each."""

    def each(self, value: T) -> list[T]:
        """The ``value`` of every process, in the order of ranks."""
        return [value]

    def gathered(self, value: T) -> list[T]:
        """The ``value`` of every process, in the order of ranks, for the leader; nothing for the others."""
        return [value]

    def told(self, make: Callable[[], T]) -> T:
        """What the leader's ``make`` returns, in all processes; an ``AirctlError`` of it is raised in all of them."""
        return make()

    def highest(self, number: int) -> int:
        """The highest ``number`` of all processes. None goes on before all have come here."""
        return max(self.each(number))

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """All ``parts`` of all processes as one tensor, in the order of ranks; some may have none."""
        return torch.cat(list(parts))

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Each process does what follows, after the leader has; what the leader refuses, the others refuse unheard."""
        yield


ALONE = Group()


class Processes(Group):
    """One of several processes."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def add(self, tensor: Tensor) -> None:
        with _together():
            dist.all_reduce(tensor)

    def each(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.size
        with _together():
            dist.all_gather_object(values, value)
        return values

    def gathered(self, value: T) -> list[T]:
        values: list[Any] | None = [None] * self.size if self.leads else None
        with _together():
            dist.gather_object(value, values)
        return values or []

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        joined = torch.cat([part for some in self.each([part.cpu() for part in parts]) for part in some])
        return joined.to(parts[0].device) if parts else joined

    def told(self, make: Callable[[], T]) -> T:
        told: list[Any] = [None, None]
        if self.leads:
            try:
                told[0] = make()
            except AirctlError as error:
                self._tell([None, error])
                raise
        value: T = self._heard(self._tell(told))
        return value

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        if self.leads:
            try:
                yield
            except AirctlError as error:
                self._tell([None, error])
                raise
            self._tell([None, None])
        else:
            self._heard(self._tell([None, None]))
            yield

    def highest(self, number: int) -> int:
        highest = torch.tensor(number)
        with _together():
            dist.all_reduce(highest, dist.ReduceOp.MAX)
        return int(highest)

    def _tell(self, told: list[Any]) -> list[Any]:
        with _together():
            dist.broadcast_object_list(told, 0)
        return told

    def _heard(self, told: list[Any]) -> Any:
        value, error = told
        if error is not None:
            error.said = True
            raise error
        return value


@contextmanager
def _together() -> Iterator[None]:
    """Turn what torch says when another process is gone into one sentence."""
    try:
        yield
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise GroupError(
            f"another process of this job has ended or cannot be reached ({str(error).splitlines()[0][:200]}): what "
            "was saved is whole, and goes on if it is resumed"
        ) from error


def several() -> bool:
    """Whether a launcher has started this process as one of several; nothing is joined yet."""
    return set(_SAYS) <= os.environ.keys() and os.environ["WORLD_SIZE"] != "1"


def leads() -> bool:
    """Whether this process is alone or the first of several, by what its launcher says."""
    return not several() or os.environ["RANK"] == "0"


def is_joined() -> bool:
    """Whether this process can be heard by others of its group."""
    return dist.is_available() and dist.is_initialized()


def current() -> Group:
    """The group that this process belongs to; the first call waits for all others to call it."""
    return _joined() if several() or is_joined() else ALONE


@cache
def _joined() -> Group:
    if not dist.is_available():
        raise ConfigError("this torch has no torch.distributed: run the command without torchrun")
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if torch.cuda.is_available():
        place, number = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if place >= number and os.environ.get("LOCAL_RANK"):
            raise ConfigError(
                f"process {place} of this machine has no GPU of its own, of which there are {number}: start as many "
                "processes as there are GPUs, or hide them (CUDA_VISIBLE_DEVICES=)"
            )
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        with _together():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            store, rank, size = next(iter(rendezvous("env://")))
            store = PrefixStore(_attempt(), store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=_watch_launcher, args=(os.getppid(),), daemon=True).start()
    return Processes()


def _attempt() -> str:
    """A name for this start of the job, so that none reads the addresses of processes that were killed before it.

    torchrun keeps its store over restarts, and torch 2.13 does not tell them apart in it. On several machines each
    torchrun counts for itself: there is no such name.
    """
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return f"airctl/{count}" if os.environ.get("GROUP_WORLD_SIZE", "1") == "1" else "airctl"


def _watch_launcher(launcher: int) -> None:
    """Stop this process, as SIGTERM does, when the torchrun that started it is gone."""
    while os.getppid() == launcher:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
