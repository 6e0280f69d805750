"""What the tests of several processes share: forks of this one that find each other as those of torchrun do."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from reliability.faults import Outcome, ended, forked


def together(number: int, act: Callable[[], Any]) -> list[Outcome]:
    """What became of ``act`` in each of ``number`` processes that are one group, by rank."""
    children = started(number, act)
    return [ended(*child) for child in children]


def started(number: int, act: Callable[[], Any]) -> list[tuple[int, int]]:
    """The same, for those who do something meanwhile: process number and pipe of each, for ``ended``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ranked(rank: int) -> Any:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(number)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return act()

    return [forked(lambda rank=rank: ranked(rank)) for rank in range(number)]
