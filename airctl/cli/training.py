"""Commands that train."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from airctl import config
from airctl.cli.progress import TrainingBar
from airctl.cli.shell import DEVICE, FILE, JSON, Word, airctl, echo, say, warn


def choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that a config is resolved from."""
    for option in reversed(
        (
            click.option("--preset", type=Word(*config.PRESETS, "fast"), default=None, help="recurrent by default."),
            click.option("--estimator", metavar="NAME", default=None, help="Gradient estimator of the count."),
            click.option("--steps", type=int, default=None, help="Training steps."),
            click.option("--seed", type=int, default=None, help="Of weights, order and noise."),
            click.option("--config", "config_file", type=FILE, default=None, help="A TOML file over the preset."),
            click.option(
                "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as model.hidden=512; repeatable."
            ),
        )
    ):
        command = option(command)
    return command


@airctl.command("config", short_help="Print the config that a training would have.")
@choices
def show_config(preset: str | None, config_file: Path | None, **overrides: Any) -> None:
    """Print every choice of a run as TOML: what 'train' would do, and what its --config reads back.

    \b
    airctl config --preset fast
    airctl config --preset paper --set model.hidden=512 > mine.toml
    airctl train scenes.h5 --run runs/mine --config mine.toml

    Preset, then file, then --set in order, then the other options; each name and value is checked.
    """
    click.echo(config.dumps(_resolve(preset, config_file, **overrides), comments=True), nl=False)


@airctl.command(short_help="Train a model; stop and resume it without a trace.")
@click.argument("data", type=FILE, metavar="DATA.h5")
@click.option("--run", type=FILE, required=True, help="Folder to write to.")
@choices
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="CPU threads; 2 by default.")
@click.option("--tensorboard", is_flag=True, help="Keep the metrics in RUN/tensorboard too (airctl[tensorboard]).")
@DEVICE
@JSON
def train(
    data: Path, run: Path, preset: str | None, config_file: Path | None, resume: bool, threads: int | None,
    device: str, tensorboard: bool, as_json: bool, **overrides: Any,
) -> None:  # fmt: skip
    """Train a model; Ctrl-C saves, --resume goes on as if nothing had happened.

    \b
    airctl train scenes.h5 --run runs/first
    airctl train scenes.h5 --run runs/paper --preset paper --set train.batch=32
    """
    resolved = _resolve(preset, config_file, **overrides)
    from airctl.commands import train as command

    with TrainingBar(quiet=as_json) as show:
        result = command.train(
            data, run, resolved, resume=resume, device=device, threads=threads, tensorboard=tensorboard,
            command=["airctl", *sys.argv[1:]], on_progress=show, say=say, warn=warn,
        )  # fmt: skip
    values = {
        "run": result.run,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "validation_accuracy": result.validation_accuracy,
    }

    def line() -> str:
        accuracy = result.validation_accuracy
        counted = "" if accuracy is None else f", counts right in {accuracy:.2%} of the validation scenes"
        return f"{result.run}: {result.steps} steps{counted}"

    echo(values, as_json, line)
    if result.stopped_by is not None:
        say("stopped and saved: the same command with --resume goes on")
        sys.exit(128 + result.stopped_by)


@airctl.command(
    short_help="Several runs of one recipe and one table.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("data", type=FILE, metavar="DATA.h5")
@click.option("--run", type=FILE, required=True, help="Folder for the runs and the table.")
@click.option("--seeds", default="0..9", show_default=True, help="Such as 0..9 or 1,5,8.")
@click.option("--vary", multiple=True, metavar="KEY=V1,V2", help="Config values to try, each with every seed.")
@click.option("--jobs", type=click.IntRange(1, 1024), default=None, help="Processes at once; one a core by default.")
@click.option("--split", type=Word("validation", "test"), default="validation", show_default=True)
@JSON
@click.pass_context
def sweep(
    ctx: click.Context, data: Path, run: Path, seeds: str, vary: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Train several seeds and tell mean, worst and success rate over ALL runs; other options go to train.

    \b
    airctl sweep scenes.h5 --run runs/sweep --seeds 0..4
    airctl sweep scenes.h5 --run runs/lr --seeds 0..2 --vary optimiser.lr=1e-3,2e-3 --steps 1500
    """
    _check_train_options(ctx, data, run)
    from airctl import reporting
    from airctl.commands.sweep import parse_seeds, parse_variations
    from airctl.commands.sweep import sweep as run_sweep

    result = run_sweep(
        data, run, parse_seeds(seeds), options=ctx.args, variations=parse_variations(vary), say=say, **options
    )
    echo(result, as_json, lambda: reporting.sweep_table(result))


def _check_train_options(ctx: click.Context, data: Path, run: Path) -> None:
    """What a sweep hands on to train is refused here, once, instead of by each of its runs."""
    words = [str(data), "--run", str(run), *ctx.args]
    try:
        values = train.make_context("train", list(words)).params
    except click.NoSuchOption as error:
        known = [*ctx.command.params, *train.params]
        options = {name for option in known if isinstance(option, click.Option) for name in option.opts}
        raise click.NoSuchOption(error.option_name, possibilities=sorted(options), ctx=ctx) from error
    _resolve(
        **{name: values[name] for name in ("preset", "estimator", "steps", "seed", "settings")},
        file=values["config_file"],
    )


def _resolve(
    preset: str | None, file: Path | None, estimator: str | None, steps: int | None, seed: int | None,
    settings: tuple[str, ...],
) -> config.Config:  # fmt: skip
    """Preset, then TOML file, then --set, then the options of their own; checked before anything is loaded."""
    base = config.preset(preset) if preset else None
    resolved = config.load(file, base) if file else base or config.preset(config.DEFAULT)
    named = {"objective.estimator": estimator, "train.steps": steps, "train.seed": seed}
    resolved = config.override(resolved, [*settings, *(f"{k}={v}" for k, v in named.items() if v is not None)])
    from airctl.objectives import require_known

    require_known(resolved.objective.estimator)
    return resolved
