"""Pieces of work as processes of this machine: started from the code that runs here, and ended with their parent.

A child is started by multiprocessing's "spawn" with Python's safe path: nothing in the current folder is imported. It
leads a session of its own, so that Ctrl-C reaches it once, as the parent's SIGTERM; and it stops, after saving, when
its parent is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

from airctl.commands.executors import Answer, Piece
from airctl.errors import AirctlError

_LOOK = 0.2  # seconds between two looks for a signal
_SAFE_PATH = "PYTHONSAFEPATH"


@dataclass(frozen=True)
class _Child:
    place: int
    process: SpawnProcess
    answers: Connection


# --- the parent ------------------------------------------------------------------------------------------------------


class Processes:
    """An ``Executor``: at most ``at_once`` processes. To stop them is SIGTERM, which a training hears and saves."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """``carry_out`` leaves no process behind."""

    def room(self) -> int:
        """Those at once."""
        return self.at_once

    def carry_out(
        self,
        work: Callable[[Piece], Answer],
        pieces: Sequence[Piece],
        ended: Callable[[int, Answer | AirctlError], None],
        look: Callable[[], int | None],
    ) -> None:
        """As ``Executor`` says."""
        waiting, running = list(enumerate(pieces)), list[_Child]()
        told_to_stop = False
        try:
            while running or (waiting and look() is None):
                while waiting and len(running) < self.at_once and look() is None:
                    running.append(_start(work, *waiting.pop(0)))
                wait([child.process.sentinel for child in running], _LOOK)
                for child in [child for child in running if not child.process.is_alive()]:
                    running.remove(child)
                    ended(child.place, _answer(child))
                if look() is not None and not told_to_stop:
                    told_to_stop = True
                    _end(running)
        except BaseException:
            _end(running)
            raise


def _start(work: Callable[[Any], Any], place: int, piece: Any) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, piece, theirs))
    with _safe_path():
        process.start()
    theirs.close()
    return _Child(place, process, ours)


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """What is started meanwhile does not look for modules in the current folder."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _end(running: Sequence[_Child]) -> None:
    for child in running:
        child.process.terminate()  # SIGTERM: a training saves and returns


def _answer(child: _Child) -> Any:
    """What a process that has ended sent before; a process that sent nothing was killed."""
    child.process.join()
    answer = None
    with contextlib.suppress(EOFError, OSError):
        answer = child.answers.recv() if child.answers.poll() else None
    child.answers.close()
    code = child.process.exitcode
    child.process.close()
    return AirctlError(f"its process ended with exit code {code}") if answer is None else answer


# --- the child -------------------------------------------------------------------------------------------------------


def _child(work: Callable[[Any], Any], piece: Any, answers: Connection) -> None:
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        answers.send(work(piece))
    except AirctlError as error:
        answers.send(error)
    except KeyboardInterrupt:
        answers.send(AirctlError("stopped"))
    answers.close()
    sys.stdout.flush()


def _watch_parent() -> None:
    """Stop this process, as SIGTERM does, when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
