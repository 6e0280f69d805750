"""Very many pictures: parts of them counted by processes or by the tasks of a cluster, and one pair of tables at last.

Part I of N is ``infer`` with ``shard=(I, N)`` into the folder ``parts/I-of-N`` of ``out``. A part that was stopped, or
whose worker was lost, goes on with its tables; once all are whole, their rows are merged in the order of the pictures.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airctl.commands.executors import LOCAL, Executor, executor, watching
from airctl.commands.found_files import TABLES, check_folder
from airctl.commands.infer import infer
from airctl.commands.merged_tables import merge
from airctl.errors import AirctlError, ConfigError, InputFileError
from airctl.scenes.own_pictures import Refuse, picture_paths
from airctl.training.signals import StopRequest

MOST = 400  # parts: merging them has two files of each open
_NAME = re.compile(r"(\d+)-of-(\d+)")


@dataclass
class Part:
    """One part, as its process is told: what ``infer`` takes, and where its tables are."""

    run: str
    images: Sequence[str]
    folder: Path
    shard: tuple[int, int]
    cores: int
    how: dict[str, Any]
    seen: int = 0  # bytes of counts.csv that were looked at by ``pictures``
    lines: int = 0

    def pictures(self) -> int:
        """How many pictures are in the table: its lines without the header, as far as they can be seen from here."""
        try:
            with open(self.folder / TABLES[0], "rb") as stream:
                if os.fstat(stream.fileno()).st_size < self.seen:  # mended meanwhile
                    self.seen = self.lines = 0
                stream.seek(self.seen)
                new = stream.read()
        except OSError:
            new = b""
        self.seen, self.lines = self.seen + len(new), self.lines + new.count(b"\n")
        return max(0, self.lines - 1)


@dataclass(frozen=True)
class InParts:
    """What came of all parts: the signal that stopped them, if one did, and why each that is not whole is not."""

    stopped_by: int | None
    unfinished: dict[str, str]


def counted(part: Part) -> list[InputFileError]:
    """Count the pictures of ``part`` that are not in its tables yet; the files that cannot be read."""
    import torch

    from airctl.training import RunFolder

    torch.set_num_threads(part.cores)
    refused: list[InputFileError] = []
    with RunFolder(part.folder).lock():  # a worker that was given up may live on for a moment
        for _ in infer(
            part.run, part.images, **part.how, out=part.folder, formats=("csv",), resume=True, shard=part.shard,
            refuse=refused.append,
        ):  # fmt: skip
            pass
    return refused


def infer_in_parts(
    run: Path | str,
    images: Sequence[Path | str],
    out: Path | str,
    *,
    on: str | Executor = LOCAL,
    jobs: int | None = None,
    cores: int = 1,
    gpus: float = 0,
    resume: bool = False,
    force: bool = False,
    refuse: Refuse | None = None,
    told: Callable[[list[str]], None] = lambda row: None,
    say: Callable[[str], None] = lambda message: None,
    on_progress: Callable[[int], None] = lambda pictures: None,
    **how: Any,
) -> InParts:
    """``infer`` with formats=("csv",), in ``jobs`` parts at once on what ``on`` names, each on ``cores`` and ``gpus``.

    ``on`` is ``local``, ``ray`` or ``ray://HOST:PORT``, whose machines all see ``run``, ``images`` and ``out`` under
    these names. By default there are as many parts as it has room for; ``resume`` keeps the number that there was.
    ``how`` goes to ``infer``, and ``told`` is given each row of counts.csv, in the order of the pictures, once all are
    there. ``ConfigError`` for what cannot be meant, ``InputFileError`` for a file that cannot be read if there is no
    ``refuse``.
    """
    out, names = Path(out), [str(name) for name in images]
    if not resume:
        check_folder(out, force)
    place = executor(on, jobs, cores, gpus, say)
    errors: list[InputFileError] = []
    unfinished: dict[str, str] = {}
    with place, StopRequest() as stop:
        known = _parts_before(out) if resume else None
        if not resume:
            shutil.rmtree(out / "parts", ignore_errors=True)
        number = known or jobs or place.room()
        if number > MOST:
            raise ConfigError(f"jobs={number}: expected at most {MOST} parts", "jobs")
        parts = [
            Part(str(run), names, out / "parts" / f"{i}-of-{number}", (i, number), cores, how)
            for i in range(1, number + 1)
        ]

        def ended(at: int, answer: list[InputFileError] | AirctlError) -> None:
            if isinstance(answer, AirctlError):
                unfinished[parts[at].folder.name] = str(answer)
            else:
                whole.add(at)
                errors.extend(answer)

        def watch() -> None:
            on_progress(sum(part.pictures() for part in parts))

        whole = set[int]()
        place.carry_out(counted, parts, ended, watching(watch, lambda: stop.signum))
        watch()
        for at in set(range(number)) - whole:
            unfinished.setdefault(parts[at].folder.name, "not started")
        if not unfinished:
            for error in errors:  # each part finds the same names that mean no file
                if refuse is None:
                    raise error
                refuse(error)
            merge([part.folder for part in parts], picture_paths(names, lambda error: None), out, told)
    return InParts(stop.signum, unfinished)


def _parts_before(out: Path) -> int | None:
    """How many parts there are in a folder that was begun before; None if it was not begun."""
    if not (out / "parts").is_dir():
        if any((out / name).exists() for name in TABLES):
            raise ConfigError(f"{out} was begun by one process: go on with it without on and jobs", "on", "jobs")
        return None
    found = {int(match[2]) for path in (out / "parts").iterdir() if (match := _NAME.fullmatch(path.name))}
    if len(found) > 1:
        raise InputFileError(f"{out / 'parts'} holds parts of several divisions: choose another folder")
    return found.pop() if found else None
