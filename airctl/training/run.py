"""The run folder: what a run was told, what it measured, and who writes into it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import os
import platform
import shlex
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from airctl import _version, config
from airctl.config import Config
from airctl.errors import ConfigError, InputFileError, PlaceError, RunInUseError
from airctl.files import append, is_regular, make_folder, read_small, storage_errors, sync, write_text
from airctl.results.as_json import plain_value, read_object, sealed

MOST_METRICS = 1 << 26  # bytes: those of ten million steps
MOST_FRAMES, MOST_FRAME_BYTES = 1000, 1 << 26  # a run of a billion steps has fifty, of some hundred kilobytes


class RunFolder:
    """The paths of a run and the small files in it. Creating the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.figures = path / "figures"
        self.frames = path / "frames"
        self.metrics = path / "metrics.jsonl"

    def require(self) -> RunFolder:
        """Raise ``ConfigError`` if this is not a run's folder, or if anything in it is a link."""
        if not is_regular(self.path / "config.toml"):
            raise ConfigError(f"{self.path} is not a run folder: expected one that 'airctl train' has made")
        self._refuse_links()
        return self

    def _refuse_links(self) -> None:
        """A strange run folder must not lead what is read or written in it to somewhere else; nothing is opened."""
        for folder, folders, files in os.walk(self.path):
            for path in (Path(folder, name) for name in (*folders, *files)):
                if path.is_symlink():
                    raise PlaceError(f"{path} is a link to somewhere else: put what it leads to in its place")

    def create(self, resolved: Config, data: Mapping[str, Any], command: Sequence[str]) -> None:
        """Write what the run was told: config.toml, data.json, command.txt with its command.mark, environment.json."""
        write_text(self.path / "data.json", dumps(data))
        line = shlex.join(command) + "\n"
        write_text(self.path / "command.mark", _mark(line) + "\n")
        write_text(self.path / "command.txt", line)
        write_text(self.path / "environment.json", dumps(environment()))
        write_text(self.path / "config.toml", config.dumps(resolved))  # last: with it the folder is a run's

    def config(self) -> Config:
        """The resolved config of the run."""
        return config.load(self.require().path / "config.toml")

    def data(self) -> dict[str, Any]:
        """Which file the run was trained on: its path, sha256 and attributes."""
        value = self.read_json("data.json")
        if not isinstance(value.get("path"), str):
            raise InputFileError(f"{self.path / 'data.json'} does not name the data of the run")
        return value

    def origin(self) -> dict[str, str | None]:
        """What each checkpoint names as what it came from: the sha256 of the scene file, and of config.toml."""
        sha256, told = self.data().get("sha256"), read_small(self.path / "config.toml")
        return {
            "data_sha256": sha256 if isinstance(sha256, str) else None,
            "config_sha256": hashlib.sha256(told).hexdigest(),
        }

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that writes here; ``RunInUseError`` names the other one, ``ConfigError`` a link in it."""
        holder = self.path / ".holder"
        lock = FileLock(self.path / ".lock")
        with storage_errors(self.path):
            make_folder(self.path)
            self._refuse_links()
            try:
                lock.acquire(timeout=0)
            except Timeout as error:
                who = (
                    read_small(holder, 1000).decode("utf-8", "replace").strip()
                    if holder.exists()
                    else "another process"
                )
                raise RunInUseError(
                    f"{self.path} is being written by {who}: wait for it, or choose another run folder"
                ) from error
        try:
            write_text(holder, f"process {os.getpid()} on {platform.node()}\n")
            yield
        finally:
            with contextlib.suppress(OSError):  # it only names the holder; the lock is what counts
                holder.unlink()
            lock.release()

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        append(self.metrics, json.dumps(row) + "\n")

    def sync_metrics(self) -> None:
        """Have metrics.jsonl on the disk: a checkpoint must not outlive the metrics before it."""
        if self.metrics.exists():
            with storage_errors(self.metrics):
                sync(self.metrics)
                sync(self.path)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a torn last line, as a kill can leave one, is passed over.

        ``InputFileError`` for what is no ordinary file, or larger than any run's.
        """
        if not self.metrics.exists():
            return []
        rows = []
        for line in read_small(self.metrics, MOST_METRICS).decode("utf-8", "replace").split("\n")[:-1]:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(row, dict) or type(row.get("step")) is not int:
                break
            rows.append(row)
        return rows

    def rewind_metrics(self, step: int) -> None:
        """Forget what was measured after ``step``, as a resumed run will measure it again."""
        rows = [row for row in self.read_metrics() if row["step"] <= step]
        if rows or self.metrics.exists():
            write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def write_metrics_csv(self) -> None:
        """metrics.csv: the lines of metrics.jsonl as a table, empty where a line has no such value."""
        rows = self.read_metrics()
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(names)] + [",".join("" if row.get(n) is None else str(row[n]) for n in names) for row in rows]
        write_text(self.path / "metrics.csv", "\n".join(lines) + "\n")

    def write_frame(self, frame: Mapping[str, Any]) -> None:
        """Keep what the model makes of the watched scenes after ``frame["step"]`` steps."""
        write_text(self.frames / f"step_{frame['step']:08d}.json", json.dumps(frame) + "\n")

    def read_frames(self) -> list[dict[str, Any]]:
        """The frames kept, in the order of their steps; ``InputFileError`` for more of them than a run leaves."""
        paths = list(itertools.islice(self.frames.glob("step_*.json"), MOST_FRAMES + 1))
        if len(paths) > MOST_FRAMES or sum(path.lstat().st_size for path in paths) > MOST_FRAME_BYTES:
            raise InputFileError(
                f"{self.frames} holds too much: expected at most {MOST_FRAMES} frames, {MOST_FRAME_BYTES} bytes; "
                "delete it, as only the page's pictures of the training come from there"
            )
        return [self.read_json(f"frames/{path.name}") for path in sorted(paths)]

    def command(self) -> str:
        """The command line that started the run; empty if it was started from Python."""
        path = self.path / "command.txt"
        return read_small(path).decode("utf-8", "replace") if path.exists() else ""

    def command_is_own(self) -> bool:
        """Whether this machine wrote that command; if not, it is a stranger's, and nobody should paste it unread."""
        try:
            told = read_small(self.path / "command.mark", 100).strip()
        except InputFileError:  # of an older version, or of somebody who does not know what it should be
            return False
        return hmac.compare_digest(told, _mark(self.command()).encode())

    def read_results(self, name: str) -> dict[str, Any]:
        """``read_json``, or nothing where there is no such file."""
        return self.read_json(name) if (self.path / name).exists() else {}

    def read_json(self, name: str) -> dict[str, Any]:
        """A result file such as eval.json; ``InputFileError`` if it is not one JSON object."""
        return read_object(self.path / name)

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a result file such as eval.json with its own sha256, and return its path."""
        write_text(self.path / name, dumps(sealed(value)))
        return self.path / name


def dumps(value: Mapping[str, Any]) -> str:
    """JSON as airctl writes it to files; a number that is not finite is null."""
    return json.dumps(plain_value(value), indent=1, allow_nan=False) + "\n"


def _mark(command: str) -> str:
    """What only somebody who knows this machine's id can say of a command: its HMAC."""
    return hmac.new(_machine(), f"airctl {command}".encode(), hashlib.sha256).hexdigest()


def _machine() -> bytes:
    """An id that stays on this machine: systemd's, which is not to be told as it is, or the network card's."""
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        with contextlib.suppress(InputFileError):
            if told := read_small(path, 1000).strip():
                return told
    return str(uuid.getnode()).encode()


def environment() -> dict[str, Any]:
    """What one must know of a machine to repeat a run bit for bit."""
    return {
        "airctl": _version.__version__,
        "python": sys.version.split()[0],
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
