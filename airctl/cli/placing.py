"""The options that say where the pieces of a command are carried out, and ``infer`` in pieces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from airctl.cli.found_output import FoundTold
from airctl.cli.progress import CountBar
from airctl.cli.shell import say
from airctl.errors import AirctlError

Command = Callable[..., Any]


class Place(click.ParamType):  # type: ignore[type-arg]
    """local, ray or ray://HOST:PORT."""

    name = "place"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[local|ray|ray://HOST:PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in ("local", "ray") and not str(value).startswith("ray://"):
            self.fail(f"there is no {value!r}: expected local, ray or ray://HOST:PORT", param, ctx)
        return str(value)


def places(piece: str) -> Callable[[Command], Command]:
    """The options of a command that is cut into pieces, such as a ``run``: --on, --jobs, --cores, --gpus."""
    options = (
        click.option("--on", type=Place(), default="local", show_default=True, help="This machine, or a Ray cluster."),
        click.option("--jobs", type=click.IntRange(1, 1024), default=None, help=f"{piece.title()}s at once."),
        click.option(
            "--cores", type=click.IntRange(1, 1024), default=1, show_default=True, help=f"Cores of a {piece}."
        ),
        click.option(
            "--gpus", type=click.FloatRange(0, 1024), default=0, help=f"GPUs of a {piece}, 0.5 too (--on ray)."
        ),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def in_parts(told: FoundTold, run: Path, images: Sequence[str], out: Path, **how: Any) -> None:
    """``infer`` in parts: the numbers of its tables go to ``told`` once they are merged, or it says what is missing."""
    from airctl.commands.infer_parts import infer_in_parts

    with CountBar(" pictures", quiet=False) as show:
        result = infer_in_parts(
            run,
            images,
            out,
            told=lambda row: told.counted(row[0], int(row[1]), row[4]),
            say=say,
            on_progress=show,
            **how,
        )
    missing = "; ".join(f"{name}: {reason}" for name, reason in result.unfinished.items())
    if result.stopped_by is not None and missing:
        say("stopped and saved: the same command with --resume goes on")
        sys.exit(128 + result.stopped_by)
    if missing:
        raise AirctlError(f"{len(result.unfinished)} parts are unfinished ({missing}): --resume goes on with them")
