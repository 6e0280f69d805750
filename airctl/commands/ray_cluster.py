"""Pieces of work as tasks of a Ray cluster (``pip install 'airctl[ray]'``), which reaches many machines.

All machines see the same files under the same names: a piece is called in the current folder of the one who asks, and
goes on from what is written there when the worker that had it is lost. The code is what each machine has installed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airctl.commands.executors import Answer, Piece, Say
from airctl.errors import AirctlError, ConfigError, RunInUseError

RETRIES = 5  # how often a piece is begun again after a lost worker
_LOOK = 0.2  # seconds between two looks for a signal
_PATIENCE, _PAUSE = 120, 2  # seconds that a lost worker may still hold its folder; between two attempts to have it

_ENVIRONMENT = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}  # who asks for no GPU sees none


class RayCluster:
    """An ``Executor``: the cluster of RAY_ADDRESS for "ray", or one on this machine; Ray's own client for "ray://...".

    Each piece asks for ``cores`` and ``gpus``. To stop one is Ray's cancelling, which a training hears as Ctrl-C: it
    saves. ``ConfigError`` without the package ray.
    """

    def __init__(self, address: str, at_once: int | None, cores: int, gpus: float, say: Say) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers about the cluster
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "on=ray needs the package ray: pip install 'airctl[ray]', or leave it out to work on this machine", "on"
            ) from error
        self.ray: Any = ray
        self.address = address if address != "ray" else os.environ.get("RAY_ADDRESS") or "local"
        self.at_once, self.cores, self.gpus, self.say = at_once, cores, gpus, say
        self.leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            # Ray prints what befalls its machines on stdout, where only results belong.
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            if not self.ray.is_initialized():
                self._connect()
                stack.callback(self.ray.shutdown)
            self._require_room()
            self.leaving = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leaving.close()

    def _connect(self) -> None:
        local = {"include_dashboard": False} if self.address == "local" else {}
        # Without a folder of its own a job has the current one, whose modules would come before the installed ones.
        with tempfile.TemporaryDirectory() as empty:
            environment = {"working_dir": empty, "env_vars": _ENVIRONMENT}
            try:
                self.ray.init(
                    self.address, runtime_env=environment, log_to_driver=False, logging_level="ERROR", **local
                )
            except Exception as error:  # Ray raises of many kinds, Exception itself too
                raise AirctlError(
                    f"Ray did not answer at {self.address} ({_first_line(error)}): expected a cluster that runs, "
                    "in RAY_ADDRESS or as on=ray://HOST:PORT",
                    "on",
                ) from error

    def _require_room(self) -> None:
        """A task that no machine has room for would wait for ever."""
        if any(map(self._fits, self._machines())):
            return
        wanted = f"cores={self.cores} and gpus={self.gpus:g}"
        if self.address == "local":
            raise ConfigError(f"this machine does not have {wanted}: ask for less", "cores", "gpus")
        self.say(f"no machine of the cluster has {wanted} now: waiting until one comes")

    def room(self) -> int:
        """What the machines that are there now have cores and GPUs for."""
        return max(1, sum(map(self._fits, self._machines())))

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def _fits(self, node: dict[str, float]) -> int:
        by_cores = int(node.get("CPU", 0) // self.cores)
        return min(by_cores, int(node.get("GPU", 0) / self.gpus)) if self.gpus else by_cores

    def carry_out(
        self,
        work: Callable[[Piece], Answer],
        pieces: Sequence[Piece],
        ended: Callable[[int, Answer | AirctlError], None],
        look: Callable[[], int | None],
    ) -> None:
        """As ``Executor`` says. A piece whose worker is lost is begun again, up to ``RETRIES`` times."""
        # A process for each piece, as on one machine; losses are counted here, so that the person hears of them.
        task = self.ray.remote(num_cpus=self.cores, num_gpus=self.gpus, max_retries=0, max_calls=1)(_called)
        waiting = [_Turn(place) for place in range(len(pieces))]
        running: dict[Any, _Turn] = {}
        told_to_stop = False
        try:
            while running or (waiting and look() is None):
                room = (self.at_once or len(pieces)) - len(running) if look() is None else 0
                for turn in [turn for turn in waiting if turn.after <= time.monotonic()][:room]:
                    waiting.remove(turn)
                    running[task.remote(work, pieces[turn.place], str(Path.cwd()))] = turn
                if not running:  # all that is left is waiting for a folder
                    time.sleep(_LOOK)
                for reference in self.ray.wait(list(running), timeout=_LOOK)[0] if running else ():
                    turn = running.pop(reference)
                    answer = self._answer(reference)
                    if look() is None and turn.again(answer):
                        waiting.append(turn)
                        if isinstance(answer, _LostError):
                            self.say(f"piece {turn.place + 1} of {len(pieces)}: {answer}; it goes on elsewhere")
                    else:
                        ended(turn.place, answer)
                if look() is not None and not told_to_stop:
                    told_to_stop = True
                    self._cancel(running)
        except BaseException:
            self._cancel(running)
            raise

    def _answer(self, reference: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except errors.TaskCancelledError:
            return AirctlError("stopped")
        except errors.RayTaskError as error:  # a bug looks like one
            print(error, file=sys.stderr)
            return AirctlError(f"its task failed with {_first_line(error.cause)}")
        except errors.RayError as error:
            return _LostError(f"its worker was lost ({type(error).__name__})")

    def _cancel(self, running: dict[Any, _Turn]) -> None:
        for reference in running:
            self.ray.cancel(reference)


class _Turn:
    """How often the piece at ``place`` lost its worker, and when it may begin again."""

    def __init__(self, place: int) -> None:
        self.place, self.losses, self.after, self.until = place, 0, 0.0, 0.0

    def again(self, answer: Any) -> bool:
        """Whether the piece is to be begun again after ``answer``."""
        now = time.monotonic()
        if isinstance(answer, _LostError) and self.losses < RETRIES:
            self.losses, self.after, self.until = self.losses + 1, now, now + _PATIENCE
            return True
        if isinstance(answer, RunInUseError) and now < self.until:  # by a worker that is lost, but not dead yet
            self.after = now + _PAUSE
            return True
        return False


class _LostError(AirctlError):
    """The process or the machine of a piece is gone."""


def _called(work: Callable[[Any], Any], piece: Any, folder: str) -> Any:
    """In the worker: what ``work`` answers or raises, called in ``folder``."""
    try:
        os.chdir(folder)
    except OSError as error:
        return AirctlError(f"{folder} is not on the machine {os.uname().nodename} ({error.strerror}): all share it")
    try:
        return work(piece)
    except AirctlError as error:
        return error
    except KeyboardInterrupt:
        return AirctlError("stopped")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
