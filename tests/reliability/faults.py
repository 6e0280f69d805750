"""A disk that fails, or a process that dies, at the n-th change of a folder; each try in a forked child.

``Disk`` stands between Python and the system calls that change what is on a disk. It names each of them, so that a
fault can be put at every one in turn, and it knows what a loss of power may take back: bytes that were not
fsynced, and names whose folder was not.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airctl.errors import AirctlError

TORN = ("one byte", "half", "all but one byte")  # of a write that was cut off
MEMORY = 512 * 2**20
LOSSES = ("the process is killed", "power fails, unsynced bytes are lost", "power fails, unsynced names are lost too")


@dataclass(frozen=True)
class Fault:
    """What happens at operation ``at``: an error (once or from there on), or the end of the process."""

    at: int
    errno: int | None = None
    for_good: bool = False
    torn: str | None = None  # of a write, how much of it still happens
    loss: str = LOSSES[0]


@dataclass
class Disk:
    """While installed, sees every change below ``root`` and lets ``fault`` happen."""

    root: Path
    fault: Fault | None = None
    seen: list[str] = field(default_factory=list)  # the operations so far, by name
    _paths: dict[int, Path] = field(default_factory=dict)  # open descriptors
    _unsynced: dict[Path, int] = field(default_factory=dict)  # file -> how many of its bytes are safe
    _names: list[list[Any]] = field(default_factory=list)  # changes of folders that a loss of power may take back
    _real: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def installed(self) -> Iterator[Disk]:
        """Take the place of the functions of ``os`` and of ``open``."""
        self._grave = self.root.parent / f"{self.root.name}.grave"
        self._grave.mkdir(exist_ok=True)
        new = {
            "open": self._open, "write": self._write, "fsync": self._fsync, "replace": self._rename,
            "rename": self._rename, "mkdir": self._mkdir, "unlink": self._unlink, "remove": self._unlink,
            "rmdir": self._rmdir, "link": self._link,
        }  # fmt: skip
        self._real = {name: getattr(os, name) for name in new} | {"stream": builtins.open}
        for name, function in new.items():
            setattr(os, name, function)
        builtins.open = io.open = self._stream  # type: ignore[assignment]
        try:
            yield self
        finally:
            for name in new:
                setattr(os, name, self._real[name])
            builtins.open = io.open = self._real["stream"]

    def _at(self, path: Any, dir_fd: int | None = None) -> Path | None:
        """The path if it is below ``root``."""
        if isinstance(path, int):
            return self._paths.get(path)
        folder = Path.cwd() if dir_fd is None else self._paths.get(dir_fd, Path.cwd())
        full = folder / os.fsdecode(path)
        return full if full.is_relative_to(self.root) else None

    def _do(self, operation: str, path: Path, act: Callable[[], Any], cut: Callable[[str], None] | None = None) -> Any:
        """Do ``act``, unless the fault is now; ``cut`` does a part of it first."""
        index, fault = len(self.seen), self.fault
        self.seen.append(f"{operation} {path.relative_to(self.root)}")
        if fault is None or index < fault.at or (index > fault.at and not fault.for_good):
            return act()
        if cut and (fault.torn or fault.errno):
            cut(fault.torn or "half")
        if fault.errno:
            raise OSError(fault.errno, os.strerror(fault.errno), str(path))
        self._die()

    def end(self) -> None:
        """All is done; the process may still die before it says so."""
        if self.fault and self.fault.errno is None and self.fault.at == len(self.seen):
            self._die()

    def _die(self) -> None:
        self._lose()
        os.kill(os.getpid(), signal.SIGKILL)

    # --- the operations ----------------------------------------------------------------------------------------------

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        full = self._at(path, dir_fd)

        def act() -> int:
            new = full is not None and flags & os.O_CREAT and not os.path.lexists(full)
            descriptor = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            self._paths.pop(descriptor, None)
            if full is not None:
                self._paths[descriptor] = full
                self._names += [["create", full]] if new else []
                if flags & os.O_TRUNC:
                    self._unsynced[full] = 0
            return int(descriptor)

        if full is None or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return act()
        return int(self._do("open", full, act))

    def _stream(self, file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        full = None if isinstance(file, int) else self._at(file)
        if full is None or not set(mode) & set("wax+"):
            return self._real["stream"](file, mode, *rest, **options)
        flags = {"w": os.O_CREAT | os.O_TRUNC, "x": os.O_CREAT | os.O_EXCL, "a": os.O_CREAT | os.O_APPEND}
        disk, descriptor = self, self._open(full, flags[mode[0]] | (os.O_RDWR if "+" in mode else os.O_WRONLY), 0o666)

        class Raw(io.FileIO):
            def write(self, content: Any) -> int:
                return disk._write(descriptor, content)

        raw = Raw(descriptor, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding=options.get("encoding"))

    def _write(self, descriptor: int, content: Any) -> int:
        full, content = self._paths.get(descriptor), memoryview(content).cast("B")
        if full is None:
            return int(self._real["write"](descriptor, content))
        self._unsynced.setdefault(full, os.fstat(descriptor).st_size)

        def cut(torn: str) -> None:
            end = {"one byte": 1, "half": len(content) // 2, "all but one byte": len(content) - 1}[torn]
            self._real["write"](descriptor, content[:end])

        return int(self._do("write", full, lambda: self._real["write"](descriptor, content), cut))

    def _fsync(self, descriptor: int) -> None:
        full = self._paths.get(descriptor)

        def act() -> None:  # what is safe is kept here; the real disk need not be waited for
            self._unsynced.pop(full, None)
            kept = []
            for change in reversed(self._names):
                if change[1].parent != full:
                    kept.append(change)
                elif change[0] == "rename":  # it stands; what was done before it is now found under the new name
                    earlier = self._names[: self._names.index(change)]
                    for other in earlier:
                        other[1] = _moved(other[1], change[2], change[1])
            self._names = kept[::-1]

        self._do("fsync", full, act) if full else self._real["fsync"](descriptor)

    def _rename(self, source: Any, target: Any, **options: Any) -> None:
        old, new = self._at(source), self._at(target)

        def act() -> None:
            assert old is not None
            assert new is not None
            buried = self._bury(new)
            self._real["replace"](old, new)
            self._names.append(["rename", new, old, buried])
            self._unsynced = {_moved(path, old, new): size for path, size in self._unsynced.items()}

        self._do("rename", new, act) if new else self._real["replace"](source, target, **options)

    def _link(self, source: Any, target: Any, **options: Any) -> None:
        new = self._at(target)

        def act() -> None:
            self._real["link"](source, target, **options)
            self._names.append(["create", new])

        self._do("link", new, act) if new else self._real["link"](source, target, **options)

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        full = self._at(path, dir_fd)

        def act() -> None:
            self._real["mkdir"](path, mode, dir_fd=dir_fd)
            self._names.append(["create", full])

        self._do("mkdir", full, act) if full else self._real["mkdir"](path, mode, dir_fd=dir_fd)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        full = self._at(path, dir_fd)

        def act() -> None:
            buried = self._bury(full)
            self._real["unlink"](path, dir_fd=dir_fd)
            self._names.append(["unlink", full, None, buried])
            self._unsynced.pop(full, None)

        self._do("unlink", full, act) if full else self._real["unlink"](path, dir_fd=dir_fd)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        full = self._at(path, dir_fd)

        def act() -> None:
            self._real["rmdir"](path, dir_fd=dir_fd)
            self._names.append(["rmdir", full])

        self._do("rmdir", full, act) if full else self._real["rmdir"](path, dir_fd=dir_fd)

    # --- what a loss of power takes ----------------------------------------------------------------------------------

    def _bury(self, path: Path | None) -> Path | None:
        """A second name for a file that is about to lose its own."""
        if path is None or path.is_symlink() or not path.is_file():
            return None
        buried = self._grave / f"{os.getpid()}-{len(self.seen)}"
        self._real["link"](path, buried)
        return buried

    def _lose(self) -> None:
        self.root = Path("/nothing is below this")  # what follows is the system's doing
        if self.fault is None or self.fault.loss == LOSSES[0]:
            return
        for path, size in self._unsynced.items():
            if path.is_file():
                os.truncate(path, size)
        for change in reversed(self._names if self.fault.loss == LOSSES[2] else []):
            kind, path = change[:2]
            if kind == "create":
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            elif kind == "rmdir":
                path.mkdir()
            else:
                if kind == "rename":
                    path.rename(change[2])
                if change[3]:
                    change[3].rename(path)


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path


@dataclass(frozen=True)
class Outcome:
    """How a child ended: its exit code (-9 if killed), the message of its error, the operations it did, its result."""

    code: int
    message: str = ""
    seen: tuple[str, ...] = ()
    value: Any = None


def in_fork(act: Callable[[], Any], root: Path | None = None, fault: Fault | None = None) -> Outcome:
    """Run ``act`` in a forked child, with a ``Disk`` over ``root`` if one is given; 99 is an error with no name."""
    return ended(*forked(act, root, fault))


def forked(act: Callable[[], Any], root: Path | None = None, fault: Fault | None = None) -> tuple[int, int]:
    """Start ``act`` in a child; its process number and a pipe with what it has to tell, for ``ended``."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside other threads
        child = os.fork()
    if child == 0:
        code, message, value, disk = 99, "", None, Disk(root or Path("/nothing"), fault)
        try:
            with disk.installed() if root else contextlib.nullcontext():
                value = act()
                disk.end()
            code = 0
        except AirctlError as error:
            code, message = error.exit_code, str(error)
        except KeyboardInterrupt:
            code = 130
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            message = traceback.format_exc()
        finally:
            with os.fdopen(writer, "w") as stream:
                json.dump([message, disk.seen, value], stream, default=str)
            os._exit(code)
    os.close(writer)
    return child, reader


def ended(child: int, reader: int) -> Outcome:
    """Wait for a child to end."""
    with os.fdopen(reader) as stream:
        told = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    message, seen, value = json.loads(told) if told else ("", [], None)
    return Outcome(code, message, tuple(seen), value)


def bound_memory() -> None:
    """Let this process take ``MEMORY`` bytes beside what it has; with more it meets a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def kill_points(seen: tuple[str, ...]) -> Iterator[tuple[str, Fault]]:
    """Every place to die in a run that did the operations ``seen``, with its name."""
    for at, name in enumerate(seen):
        for loss in LOSSES:
            yield f"before {name}; {loss}", Fault(at, loss=loss)
            if name.startswith("write "):
                for torn in TORN:
                    yield f"after {torn} of {name}; {loss}", Fault(at, torn=torn, loss=loss)
    for loss in LOSSES:
        yield f"after all; {loss}", Fault(len(seen), loss=loss)


def errors(seen: tuple[str, ...], errnos: list[int]) -> Iterator[tuple[str, Fault]]:
    """Every operation failing once and from there on, with each of ``errnos``."""
    for at, name in enumerate(seen):
        for number in errnos:
            for for_good in (False, True):
                yield (
                    f"{name}: {os.strerror(number)} {'for good' if for_good else 'once'}",
                    Fault(at, number, for_good),
                )
