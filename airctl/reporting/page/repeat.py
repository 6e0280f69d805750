"""The commands that make a run again, ready to be pasted into a shell: paths are absolute and quoted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airctl.reporting.page.run_report import RunReport

_DATA_OPTIONS = ("preset", "train", "test", "min_digits", "max_digits", "canvas", "scale_mean", "scale_sd", "seed")


@dataclass(frozen=True)
class Command:
    """A command and what it is for."""

    what: str
    line: str


def commands(run: RunReport) -> list[Command]:
    """What repeats ``run``, in the order in which one needs it."""
    folder = str(Path(run.path).absolute())
    found = [Command("Make the scenes, if the file is gone", _words(_generate(run.data)))] if _made(run.data) else []
    if run.command.strip():
        found.append(Command(f"Train, as the command was first given{_whose(run)}", _printable(run.command.strip())))
    found += [
        Command("Train again in a new folder, from the resolved config", _words(_train(run, folder))),
        Command("Evaluate", _words(_evaluate(run.result, folder))),
    ]
    if run.variance is not None:
        found.append(Command("Measure the gradient's variance", _words(_measure(run.variance, folder))))
    return [*found, Command("Write this page", _words(["report", folder]))]


def _whose(run: RunReport) -> str:
    return "" if run.command_is_own else " (this machine did not write it: read it before you run it)"


def _printable(line: str) -> str:
    """What a shell would take for more than text, such as a line's end, is seen and not pasted."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _made(data: Mapping[str, Any]) -> bool:
    """Whether airctl generate-data made the scenes."""
    return data.get("generator", "airctl") == "airctl" and "digits" in data


def _generate(data: Mapping[str, Any]) -> list[Any]:
    words = ["generate-data", data["path"], "--digits", data["digits"]]
    return words + [
        word for name in _DATA_OPTIONS if name in data for word in (f"--{name.replace('_', '-')}", data[name])
    ]


def _train(run: RunReport, folder: str) -> list[Any]:
    words = ["train", run.data["path"], "--run", f"{folder}-again", "--config", f"{folder}/config.toml"]
    return [*words, "--threads", run.environment.get("threads", 1)]


def _evaluate(result: Mapping[str, Any], folder: str) -> list[Any]:
    words = ["eval", folder, "--data", str(Path(result["data"]).absolute()), "--split", result["split"]]
    words += ["--checkpoint", result["step"], "--num-steps", result["num_steps"], "--seed", result["seed"]]
    return words


def _measure(variance: Mapping[str, Any], folder: str) -> list[Any]:
    steps = [str(checkpoint["step"]) for checkpoint in variance["checkpoints"]]
    words = ["variance-report", folder, "--samples", variance.get("samples_asked", variance["samples"])]
    words += ["--batch", variance["batch"], "--fit-steps", variance["fit_steps"], "--seed", variance["seed"]]
    names = [*variance["estimators"], *variance.get("left_out", ())]
    words += ["--estimators", ",".join(names), "--checkpoints", ",".join(steps)]
    return words + (["--table-1"] if variance.get("table_1") else [])


def _words(words: Sequence[Any]) -> str:
    return _printable(shlex.join(["airctl", *map(str, words)]))
