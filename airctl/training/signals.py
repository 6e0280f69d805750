"""Ctrl-C, SIGTERM and SIGHUP (the terminal ends): the first asks to stop after the step, the second leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from types import FrameType, TracebackType


class StopRequest:
    """While entered, ``signum`` tells which signal asked to stop, or None. Outside the main thread it hears nothing."""

    signum: int | None = None

    def __enter__(self) -> StopRequest:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            heard = {signal.SIGINT, signal.SIGTERM, *([] if _HANGUP is None or _is_ignored(_HANGUP) else [_HANGUP])}
            self._before = {s: signal.signal(s, self._heard) for s in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _heard(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(128 + signum)  # whatever is on the disk is whole: every write is aside and renamed
        self.signum = signum
        if signum == _HANGUP:
            _leave_the_terminal()


_HANGUP = getattr(signal, "SIGHUP", None)  # not on every system


def _is_ignored(signum: signal.Signals) -> bool:
    """Whether whoever started this process wants it to outlive that, as nohup does."""
    return signal.getsignal(signum) == signal.SIG_IGN


def _leave_the_terminal() -> None:
    """Let messages go nowhere: the next one would otherwise fail, before anything is saved."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
