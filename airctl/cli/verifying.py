"""The command that checks what a result was made of."""

from __future__ import annotations

from pathlib import Path

import click

from airctl import errors
from airctl.cli.shell import DATA, FILE, JSON, KEY, airctl, echo


@airctl.command(short_help="Whether data, checkpoints, models and results are what they say.")
@click.argument("sources", type=FILE, nargs=-1, required=True, metavar="RUN|FILE|FOLDER...")
@DATA
@KEY
@JSON
def verify(sources: tuple[Path, ...], data: Path | None, key: Path | None, as_json: bool) -> None:
    """Compute every sha256 again, from the scenes to the checkpoint, the exported model and the result.

    \b
    airctl verify runs/first
    airctl verify runs/first digits.airctl found --data scenes.h5
    airctl verify digits.airctl --key maker.pub

    RUN, FILE.airctl, FILE.onnx, FOLDER (of infer -o or count) and DATA.h5 name the sha256 of what they were made of;
    that is looked for in all that are given. Exit code 3 if something differs. What is missing, because it was
    deleted, is not given or was written by an older airctl, is told and is no failure.
    """
    from airctl import reporting
    from airctl.commands.verify import verify as command

    result = command(sources, data=data, key=key)
    echo(result, as_json, reporting.verified_table)
    if result.differing:
        number = len(result.differing)
        raise errors.InputFileError(
            f"{number} of {len(result.links)} links {'differs' if number == 1 else 'differ'}: "
            f"do not trust {result.differing[0].what} before you know why"
        )
