"""docs/cli.md, from the commands themselves: ``python -m airctl.cli.reference > docs/cli.md`` (``make docs``)."""

from __future__ import annotations

import inspect

import click

from airctl.cli import airctl
from airctl.cli.shell import Commands, Word

HEAD = """\
# The command line

Written by `make docs` from the commands themselves; a test keeps the two equal. `airctl COMMAND --help` says the same.
`python -m airctl` is `airctl`. Results go to stdout, progress and messages to stderr. [json.md](json.md) explains what
`--json` prints.

"""
TAIL = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | success |
| 1 | a failure, or a sweep with unfinished runs |
| 2 | the command line or the config is wrong |
| 3 | an input file is missing, damaged, foreign or not to be trusted |
| 4 | another process writes into the run folder |
| 5 | the loss did not stay finite |
| 6 | the disk is full, failing or read-only |
| 7 | `eval --min-accuracy` was not reached |
| 8 | with `--strict`, a count cannot be trusted |
| 130, 143 | stopped by Ctrl-C or SIGTERM, after saving |

## Environment variables

`NO_COLOR` turns off the colour of warnings and errors. `OMP_WAIT_POLICY` is `PASSIVE` unless it is set: waiting threads
sleep.

## Shell completion

Commands, options and their choices are completed after this line (bash 4.4 or newer, zsh, fish):

```sh
eval "$(_AIRCTL_COMPLETE=bash_source airctl)"             # in ~/.bashrc
eval "$(_AIRCTL_COMPLETE=zsh_source airctl)"              # in ~/.zshrc
_AIRCTL_COMPLETE=fish_source airctl | source              # in ~/.config/fish/completions/airctl.fish
```
"""


def reference() -> str:
    """The whole page."""
    assert isinstance(airctl, Commands)
    sections = [_section(command) for command in airctl.commands.values()]
    listing = [f"- [`{name}`](#airctl-{name}): {c.short_help}" for name, c in airctl.commands.items()]
    return HEAD + "\n".join(listing) + "\n\n" + "".join(sections) + TAIL


def _section(command: click.Command) -> str:
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    text = [f"```sh\n{p.removeprefix(chr(8)).strip()}\n```" if p.startswith("\b") else p for p in paragraphs]
    aliases = [alias for alias, name in Commands.aliases.items() if name == command.name]
    told = f" Alias: `airctl {aliases[0]}`." if aliases else ""
    usage = " ".join(["airctl", command.name or "", *command.collect_usage_pieces(click.Context(command))])
    rows = [_row(p) for p in command.params if isinstance(p, click.Option)]
    table = "| option | | default |\n|---|---|---|\n" + "\n".join(rows) if rows else ""
    return f"## airctl {command.name}\n\n`{usage}`{told}\n\n" + "\n\n".join([*text, table]).rstrip() + "\n\n"


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    known = [f"`{word}`" for word in option.type.known] if isinstance(option.type, Word) else []
    words = " or ".join([", ".join(known[:-1]), known[-1]]) if known else ""
    required = "required" if option.required else ""
    told = "; ".join(part for part in ((option.help or "").rstrip("."), words) if part).replace("|", "\\|")
    default = option.to_info_dict()["default"]
    shown = default is not None and not option.is_flag and not option.required and default != () and option.show_default
    return f"| {names} | {told} | {f'`{default}`' if shown else required} |"


if __name__ == "__main__":
    print(reference(), end="")
