"""Commands that train."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from airctl import config, group
from airctl.cli.placing import places
from airctl.cli.progress import CountBar, TrainingBar
from airctl.cli.shell import DEVICE, FILE, JSON, Word, airctl, echo, say, warn
from airctl.errors import AirctlError

Command = Callable[..., Any]

# Options that are a name for one config key.
NAMED = {
    "estimator": "objective.estimator",
    "steps": "train.steps",
    "batch": "train.batch",
    "lr": "optimiser.lr",
    "seed": "train.seed",
    "labels": "train.labels",
}
_RECIPE = (
    click.option("--preset", type=Word(*config.PRESETS), default=None, help="fast by default."),
    click.option("--estimator", metavar="NAME", default=None, help="Gradient estimator of the count."),
    click.option("--steps", type=int, default=None, help="Training steps."),
    click.option("--batch", type=int, default=None, help="Scenes per step."),
    click.option("--lr", type=float, default=None, help="Learning rate."),
    click.option(
        "--labels", type=int, default=None, help="Training scenes whose counts the model is told; 0 by default."
    ),
    click.option("--label-boxes", is_flag=True, help="It is told where their objects are, too."),
    click.option("--config", "config_file", type=FILE, default=None, help="A TOML file over the preset."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as train.batch=128; repeatable."),
)
_SEED = click.option("--seed", type=int, default=None, help="Of weights, order and noise.")


def recipe(command: Command) -> Command:
    """The options that a config is resolved from, but for the seed."""
    for option in reversed(_RECIPE):
        command = option(command)
    return command


@airctl.command("config", short_help="Print the config that a training would have.")
@recipe
@_SEED
def show_config(**choices: Any) -> None:
    """Print every value of a config as TOML: what 'train' would use, and what its --config reads back.

    \b
    airctl config --preset fast
    airctl config --preset paper --set network.hidden=512 > mine.toml
    airctl train scenes.h5 --run runs/mine --config mine.toml

    Preset, then file, then --set in order, then the other options; each name and value is checked.
    """
    click.echo(config.dumps(_resolve(choices), comments=True), nl=False)


@airctl.command(short_help="Train a model; stop and resume it at any time.")
@click.argument("data", type=FILE, metavar="DATA.h5", required=False)
@click.option("--run", type=FILE, required=True, help="Folder to write to.")
@recipe
@_SEED
@click.option("--resume", is_flag=True, help="Go on with the run in the folder; DATA and config are the run's.")
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="CPU threads; 2 by default.")
@click.option("--tensorboard", is_flag=True, help="Keep the metrics in RUN/tensorboard too (airctl[tensorboard]).")
@DEVICE
@click.option("--devices", type=click.IntRange(1, 1024), default=None, help="Processes (GPUs) that share the training.")
@JSON
def train(
    data: Path | None, run: Path, resume: bool, threads: int | None, device: str, devices: int | None,
    tensorboard: bool, as_json: bool, **choices: Any,
) -> None:  # fmt: skip
    """Train a model. Ctrl-C saves; --resume goes on as if nothing had happened.

    \b
    airctl train scenes.h5 --run runs/first
    airctl train --run runs/first --resume
    airctl train scenes.h5 --run runs/paper --preset paper --batch 32
    airctl train scenes.h5 --run runs/large --batch 256 --devices 2
    """
    if data is None and not resume:
        raise click.MissingParameter(param_type="argument", param_hint="'DATA.h5'", ctx=click.get_current_context())
    checked = _resolve(choices)  # before anything is loaded
    if devices is not None and devices > 1 and not group.several():
        from airctl.commands.together import run_together

        sys.exit(run_together(devices, sys.argv[1:]))
    from airctl.commands import train as command

    started = command.started_config(run) if resume else None
    resolved = _resolve(choices, started) if started is not None else checked
    with TrainingBar(quiet=as_json) as show:
        result = command.train(
            data, run, resolved, resume=resume, device=device, threads=threads, tensorboard=tensorboard,
            command=["airctl", *sys.argv[1:]], on_progress=show, say=say, warn=warn,
        )  # fmt: skip
    echo(result, as_json, _train_line)
    if result.stopped_by is not None:
        say(f"stopped and saved: airctl train --run {run} --resume goes on")
        sys.exit(128 + result.stopped_by)


def _train_line(told: dict[str, Any]) -> str:
    accuracy = told["validation_accuracy"]
    counted = "" if accuracy is None else f", count accuracy {accuracy:.2%} on the validation scenes"
    return f"{told['run']}: {told['steps']} steps{counted}"


@airctl.command(short_help="Several runs of one recipe and one table.")
@click.argument("data", type=FILE, metavar="DATA.h5")
@click.option("--run", type=FILE, required=True, help="Folder for the runs and the table.")
@click.option("--seeds", default="0..9", show_default=True, help="Such as 0..9 or 1,5,8.")
@click.option("--vary", multiple=True, metavar="KEY=V1,V2", help="Config values to try, each with every seed.")
@places("run")
@click.option("--split", type=Word("validation", "test"), default="validation", show_default=True)
@recipe
@DEVICE
@JSON
def sweep(
    data: Path, run: Path, seeds: str, vary: tuple[str, ...], on: str, jobs: int | None, cores: int, gpus: float,
    split: str, device: str, as_json: bool, **choices: Any,
) -> None:  # fmt: skip
    """Train several seeds, and print mean, worst and success rate over ALL runs.

    \b
    airctl sweep scenes.h5 --run runs/sweep --seeds 0..4
    airctl sweep scenes.h5 --run runs/lr --seeds 0..2 --vary optimiser.lr=1e-3,2e-3 --steps 1500
    airctl sweep scenes.h5 --run runs/sweep --on ray --cores 4 --gpus 1

    A run that cannot be trained counts as accuracy 0. There is no mean while a run is unfinished: the same command
    goes on. --on ray trains on the Ray cluster of RAY_ADDRESS, or one on this machine (airctl[ray]).
    """
    resolved = _resolve(choices)
    from airctl import reporting
    from airctl.commands import sweep as command

    wanted, variations = command.parse_seeds(seeds), command.parse_variations(vary)
    with CountBar(" steps", quiet=as_json) as show:
        result = command.sweep(
            data, run, resolved, wanted, variations=variations, jobs=jobs, split=split, device=device, on=on,
            cores=cores, gpus=gpus, say=say, on_progress=show,
        )  # fmt: skip
    echo(result, as_json, reporting.sweep_table)
    if result.stopped_by is not None:
        say("stopped and saved: the same command goes on")
        sys.exit(128 + result.stopped_by)
    if result.unfinished:
        raise AirctlError(f"{command.unfinished(result)}: the same command goes on")


def _resolve(choices: dict[str, Any], started: config.Config | None = None) -> config.Config:
    """Preset, then TOML file, then --set, then the options of their own; each name and value is checked.

    Without preset and file it begins with the config of the run that ``started``, if one did.
    """
    named, file = choices["preset"], choices["config_file"]
    base = config.preset(named) if named else None
    resolved = config.load(file, base) if file else base or started or config.preset(config.DEFAULT)
    values = [f"{key}={choices[name]}" for name, key in NAMED.items() if choices.get(name) is not None]
    values += ["train.label_boxes=yes"] * choices["label_boxes"]
    resolved = config.override(resolved, [*choices["settings"], *values])
    return _known(resolved)


def _known(resolved: config.Config) -> config.Config:
    """The config with its estimator by the name that it has here; ``ConfigError`` for an estimator there is not."""
    from airctl.commands.estimators import known_estimators

    (name,) = known_estimators([resolved.objective.estimator])
    return config.override(resolved, [f"objective.estimator={name}"])
