"""What was found in pictures, told as it comes: a table or lines of JSON, warnings, and the exit code."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from airctl import errors
from airctl.cli.shell import in_options, shown, warn
from airctl.results.as_json import dumps, to_json
from airctl.results.found import FINE

if TYPE_CHECKING:
    from airctl.inference import Found

MOST = 1000  # pictures in a table; of more only the numbers are told


class Refused:
    """Pictures in which nothing could be looked for are named on stderr, each once; in the end they are exit code 3."""

    def __init__(self) -> None:
        self.errors: list[errors.InputFileError] = []

    def __call__(self, error: errors.InputFileError) -> None:
        told = [str(before) for before in self.errors]
        self.errors.append(error)
        if str(error) not in told:
            warn(in_options(error))

    def __enter__(self) -> Refused:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.errors:
            sys.exit(errors.InputFileError.exit_code)


class FoundTold:
    """Called with what was found in each picture: prints a line of JSON, or keeps a row of the table for the end.

    A count that cannot be trusted is named on stderr; with ``strict`` it makes the exit code 8.
    """

    def __init__(self, as_json: bool, strict: bool) -> None:
        self.as_json, self.strict = as_json, strict
        self.rows: list[dict[str, Any]] = []
        self.pictures = self.objects = self.flagged = 0

    def __call__(self, found: Found) -> None:
        result = found.result()
        self.counted(result.image, result.count, result.verdict)
        if self.as_json:
            click.echo(dumps(result))
        elif len(self.rows) <= MOST:
            self.rows.append(to_json(result) | {"image": shown(result.image), "boxes": []})

    def counted(self, image: str, count: int, verdict: str) -> None:
        """Only the numbers of one picture, and its name if they cannot be trusted."""
        from airctl.reporting.words import VERDICTS

        self.pictures += 1
        self.objects += count
        if verdict != FINE:
            self.flagged += 1
            warn(f"{image}: counted {count}, but {VERDICTS[verdict]}")

    def __enter__(self) -> FoundTold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, errors.AirctlError | KeyboardInterrupt):
            return
        if self.rows:  # of a command that was stopped, as far as it came
            from airctl import reporting

            click.echo(reporting.found_table(self.rows[:MOST]))
            click.echo("\n" * (self.pictures > 1), nl=False)
        if self.pictures > 1 and not self.as_json:
            click.echo(f"{self.objects} objects in {self.pictures} pictures")
        if kind is None and self.strict and self.flagged:
            raise errors.UnlikeError(f"{self.flagged} of {self.pictures} counts cannot be trusted")
