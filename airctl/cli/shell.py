"""What every command shares: the group, its errors and exit codes, the options that recur, how results are told."""

from __future__ import annotations

import difflib
import errno
import inspect
import io
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.shell_completion import CompletionItem
from tqdm import tqdm

from airctl import _version, errors, group
from airctl.config import hint
from airctl.results.as_json import dumps, to_json

if TYPE_CHECKING:
    WordType = click.ParamType[str]
else:  # it takes no argument in every click that airctl runs with
    WordType = click.ParamType


# Errors of which all processes of a group know at once.
AGREED = (errors.GroupError, errors.NotFiniteError, errors.AccuracyMissedError, errors.UnlikeError)


class Word(WordType):
    """One of a few words; a misspelled one gets a suggestion."""

    name = "word"

    def __init__(self, *known: str) -> None:
        self.known = known

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(self.known)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.known:
            self.fail(f"there is no {value!r}{hint(value, self.known)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in self.known if word.startswith(incomplete)]


class FileName(click.Path):
    """A path, of the kind that a file can have: others are refused here, before somebody asks what lies there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            os.lstat(value)
        except (OSError, ValueError) as error:  # ValueError: a NUL in it
            if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
                self.fail(f"no file can have the name {shown(str(value))[:60]!r}...", param, ctx)
        return super().convert(value, param, ctx)


FILE = FileName(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
DEVICE = click.option(
    "--device", type=Word("auto", "cpu", "cuda", "gpu"), default="auto", show_default=True, help="gpu is cuda."
)
DATA = click.option("--data", type=FILE, default=None, help="Another scene file than the run's own.")
CHECKPOINT = click.option("--checkpoint", default="last", show_default=True, help="last, best or a step.")
KEY = click.option("--key", type=FILE, default=None, help="Public key of minisign: the model must be signed with it.")
SEED = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of the noise.")


class ExampleFirst(click.Command):
    """A help text that begins with the example of its docstring: what most people came for."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for example in self._paragraphs(examples=True):
            formatter.write("Example:\n" + textwrap.indent(example.removeprefix("\b\n"), "  ") + "\n\n")
        super().format_usage(ctx, formatter)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text("\n\n".join(self._paragraphs(examples=False)))

    def _paragraphs(self, examples: bool) -> list[str]:
        return [p for p in inspect.cleandoc(self.help or "").split("\n\n") if p.startswith("\b") == examples]


SHARED = ("train", "eval", "variance-report", "infer", "count")  # commands whose work several processes can share


class Commands(ExampleFirst, click.Group):
    """Suggests a command for a misspelled one, and takes the aliases."""

    command_class = ExampleFirst
    aliases: ClassVar = {"eval-count": "eval", "variance": "variance-report", "predict": "infer"}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one needs them, not by the alphabet."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(name, name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        known = [*self.commands, *self.aliases]
        if args and args[0] not in known and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f": did you mean {near[0]!r}?" if near else "."))
        resolved = super().resolve_command(ctx, args)
        if group.several() and resolved[0] not in SHARED:
            raise errors.ConfigError(
                f"{resolved[0]} is work for one process, and torchrun has started {os.environ['WORLD_SIZE']}: run it "
                f"without torchrun (several can share {', '.join(SHARED)})"
            )
        return resolved


def say(message: str) -> None:
    """A message of one line for the person, on stderr and clear of the progress bar."""
    tqdm.write(shown(message), file=sys.stderr)


def warn(message: str, colour: str = "yellow") -> None:
    """A message that should not be missed: in colour on a terminal, unless NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty()
    text = f"airctl: {shown(message)}"
    tqdm.write(text if plain else click.style(text, fg=colour), file=sys.stderr)


def shown(text: str) -> str:
    """``text`` with what is not printable escaped, so that a file's name cannot write to the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_lines(text: str) -> str:
    """``shown`` of each line of ``text``."""
    return "\n".join(map(shown, text.split("\n")))


def _shown_values(value: Any) -> Any:
    """A plain value with ``shown`` of every string in it."""
    if isinstance(value, dict):
        return {shown(str(key)): _shown_values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown_values(one) for one in value]
    return shown(value) if isinstance(value, str) else value


def main() -> None:
    """Run the command line; a user's error is one sentence and its exit code, never a traceback.

    A usage error comes first, and the usage after it. Of several processes the first speaks for all.
    """
    try:
        _run()
    except SystemExit as ended:
        if ended.code and not group.leads():  # when one fails torchrun ends the others: the first has to speak before
            time.sleep(1 if group.is_joined() else 10)
        raise


def _run() -> None:
    _prepare_streams()
    heard = sys.stderr
    if not group.leads():
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        sys.exit(airctl.main(prog_name="airctl", standalone_mode=False) or 0)
    except errors.AirctlError as error:
        known = error.said or isinstance(error, AGREED)
        if not known and (group.is_joined() or os.environ.get("LOCAL_RANK") == "0"):
            sys.stderr = heard  # what no other process may know
        warn(in_options(error), "red")
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        say("airctl: stopped")
        sys.exit(130)
    except click.NoSuchOption as error:
        near = difflib.get_close_matches(error.option_name, error.possibilities or [], n=1)
        _show_usage_error(click.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx))
        sys.exit(error.exit_code)
    except click.UsageError as error:
        _show_usage_error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception:
        sys.stderr = heard
        raise


def _prepare_streams() -> None:
    """A stream that is closed goes nowhere, and no file gets its number; a letter that one does not have is escaped."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
        if getattr(sys, name) is None:
            nowhere = os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if descriptor == 0 else "w", encoding="utf-8")
            setattr(sys, name, nowhere)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def in_options(error: errors.AirctlError) -> str:
    """The sentence of a library error with options in the place of the arguments that it names."""
    sentence = str(error)
    for name in error.arguments:
        option = f"--{name.replace('_', '-')}"
        sentence = re.sub(rf"(?<![\w.]){name}=True\b", option, sentence)
        sentence = re.sub(rf"(?<![\w.]){name}=", f"{option} ", sentence)
    return sentence


def _show_usage_error(error: click.UsageError) -> None:
    """What is wrong, then how it would be right."""
    say(f"Error: {shown(error.format_message())}")
    if error.ctx is not None:
        for line in ["", *error.ctx.get_usage().split("\n"), f"Try '{error.ctx.command_path} --help' for help."]:
            say(line)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version.__version__, "-V", "--version")
def airctl() -> None:
    """Find and count the objects of pictures without labels; train and measure AIR (Attend, Infer, Repeat).

    \b
    airctl count photo.jpg
    airctl generate-data scenes.h5
    airctl train scenes.h5 --run runs/first
    airctl eval runs/first
    """


def words(text: str | None) -> list[str]:
    """The words of a comma-separated option."""
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def echo(result: Any, as_json: bool, text: Callable[[dict[str, Any]], str]) -> None:
    """The result on stdout: as one JSON object, or as ``text`` says it from the same values."""
    click.echo(dumps(result) if as_json else shown_lines(text(_shown_values(to_json(result)))))


def echo_path(path: Path) -> None:
    """The path of what was written, on stdout."""
    click.echo(shown(str(path)))
