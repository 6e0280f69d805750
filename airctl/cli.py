"""The command line: values -> config -> one call -> echo. Nothing else imports click.

stdout carries the result, stderr the progress bar and messages.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import click
from tqdm import tqdm

from airctl import _version, config, errors

FILE = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
CHECKPOINT = click.option("--checkpoint", default="last", show_default=True, help="last, best or a step.")
SEED = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)


class Commands(click.Group):
    """Answers a misspelt command with the nearest one, and takes the aliases."""

    aliases: ClassVar = {"eval-count": "eval", "variance": "variance-report"}

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(name, name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        known = [*self.commands, *self.aliases]
        if args and args[0] not in known and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f": did you mean {near[0]!r}?" if near else "."))
        return super().resolve_command(ctx, args)


def say(message: str) -> None:
    """A message for the person, on stderr and clear of the progress bar."""
    tqdm.write(message, file=sys.stderr)


def main() -> None:
    """Run the command line; a user's error is one sentence and its exit code, never a traceback."""
    try:
        sys.exit(airctl.main(prog_name="airctl", standalone_mode=False) or 0)
    except errors.AirctlError as error:
        say(f"airctl: {error}")
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        say("airctl: stopped")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version.__version__, "-V", "--version")
def airctl() -> None:
    """Train and evaluate AIR (Attend, Infer, Repeat): find, count and draw objects without labels.

    \b
    airctl generate-data scenes.h5
    airctl train scenes.h5 --run runs/first
    airctl eval runs/first
    """


@airctl.command("generate-data", short_help="Make Multi-MNIST scenes with known counts and boxes.")
@click.argument("out", type=FILE, metavar="OUT.h5")
@click.option("--digits", default="mnist", show_default=True, help="mnist, mnist-5k, font, or a file or folder.")
@click.option("--preset", default="observations", show_default=True, help="observations or pyro.")
@click.option("--train", default=60_000, show_default=True, type=click.IntRange(0), help="Training scenes.")
@click.option("--test", default=10_000, show_default=True, type=click.IntRange(0), help="Test scenes; 0: none.")
@click.option("--max-digits", default=2, show_default=True, type=click.IntRange(0, 9), help="Most digits a scene.")
@click.option("--canvas", default=50, show_default=True, type=click.IntRange(1, 4096), help="Side in pixels.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=None, help="By default the preset's own.")
@click.option("--mnist-dir", type=FILE, default=Path("data/mnist"), show_default=True, help="Where MNIST lies or goes.")
@click.option("--force", is_flag=True, help="Replace OUT.h5 once the new one is complete.")
@JSON
def generate_data(out: Path, digits: str, mnist_dir: Path, force: bool, as_json: bool, **settings: Any) -> None:
    """Make Multi-MNIST scenes with known counts, labels and boxes.

    \b
    airctl generate-data scenes.h5
    airctl generate-data small.h5 --digits font --train 2000 --test 500
    """
    from airctl import scenes

    spec = scenes.SceneSpec(**settings)
    result = scenes.generate_data(
        out, spec, digits, mnist_dir, force, say=say, progress_bar=not as_json and sys.stderr.isatty()
    )

    def lines() -> str:
        splits = [
            f"{name}: {result[name]['scenes']} scenes, counts {result[name]['counts']}" for name in ("train", "test")
        ]
        return "\n".join([f"{out} from {result['digits']['source']} digits", *splits])

    _echo(result, as_json, lines)


@airctl.command(short_help="Train a model; stop and resume it without a trace.")
@click.argument("data", type=FILE, metavar="DATA.h5")
@click.option("--run", type=FILE, required=True, help="Folder to write to.")
@click.option("--preset", default=None, help="fast (default), paper or report-2019.")
@click.option("--estimator", default=None, help="Gradient estimator of the count.")
@click.option("--steps", type=int, default=None, help="Training steps.")
@click.option("--seed", type=int, default=None, help="Of weights, order and noise.")
@click.option("--config", "config_file", type=FILE, default=None, help="A TOML file over the preset.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Such as model.hidden=512; repeatable.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="CPU threads; 2 by default.")
@DEVICE
@JSON
def train(
    data: Path, run: Path, preset: str | None, config_file: Path | None, resume: bool, threads: int | None,
    device: str, as_json: bool, **overrides: Any,
) -> None:  # fmt: skip
    """Train a model; Ctrl-C saves, --resume goes on as if nothing had happened.

    \b
    airctl train scenes.h5 --run runs/first
    airctl train scenes.h5 --run runs/paper --preset paper --set train.batch=32
    """
    resolved = _resolve(preset, config_file, **overrides)
    from airctl import training

    with contextlib.ExitStack() as stack:
        bar: tqdm[Any] | None = None

        def show(progress: training.Progress) -> None:
            nonlocal bar
            if bar is None:  # drawn with the first step, so that a refusal stands alone
                first, unit = progress.step - 1, "step"
                bar = tqdm(total=progress.steps, initial=first, unit=unit, disable=as_json, dynamic_ncols=True)
                stack.enter_context(bar)
            accuracy = progress.validation_accuracy
            counted = "-" if accuracy is None else f"{accuracy:.2%}"
            bar.set_postfix_str(f"ELBO {progress.elbo:.1f}, counts right {counted}", refresh=False)
            bar.update(progress.step - bar.n)

        result = training.train(
            data, run, resolved, resume=resume, device=device, threads=threads, command=["airctl", *sys.argv[1:]],
            on_progress=show, say=say,
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

    _echo(values, as_json, line)
    if result.stopped_by is not None:
        say("stopped and saved: the same command with --resume goes on")
        sys.exit(128 + result.stopped_by)


@airctl.command("eval", short_help="Count accuracy and confusion matrix of a run.")
@click.argument("run", type=FILE)
@click.option("--data", type=FILE, default=None, help="Another scene file than the run's own.")
@click.option("--split", default="test", show_default=True, help="test or train.")
@click.option("--num-steps", type=click.IntRange(1, 64), default=None, help="Steps to take; as in training by default.")
@click.option("--min-accuracy", type=click.FloatRange(0, 1), default=0.0, help="Exit with 7 below this accuracy.")
@CHECKPOINT
@SEED
@DEVICE
@JSON
def evaluate(run: Path, as_json: bool, **options: Any) -> None:
    """Compare the counts of a run with the true ones (alias: eval-count).

    \b
    airctl eval runs/first
    airctl eval runs/first --checkpoint best --min-accuracy 0.98
    """
    from airctl import api, reporting

    result = api.evaluate(run, **options)
    _echo(result, as_json, lambda: reporting.count_table(result))
    if not result["accurate_enough"]:
        raise errors.AccuracyMissedError(
            f"count accuracy {result['count_accuracy']:.4f} is below the {options['min_accuracy']:.4f} asked for"
        )


@airctl.command("variance-report", short_help="Variance and bias of gradient estimators.")
@click.argument("run", type=FILE)
@click.option("--samples", default=1000, show_default=True, type=click.IntRange(4), help="Gradients of each estimator.")
@click.option(
    "--estimators", default=None, metavar="A,B,C", help="all, or by default those of the report's Table 1, and exact."
)
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1), help="Scenes of the one batch.")
@click.option("--fit-steps", default=1000, show_default=True, type=click.IntRange(0), help="To fit a missing baseline.")
@click.option("--checkpoints", default=None, metavar="A,B|all", help="Several of the training; 0: the untrained model.")
@click.option("--against-report", is_flag=True, help="Show the figures of the report's Table 1 beside ours.")
@CHECKPOINT
@SEED
@DEVICE
@JSON
def variance_report(
    run: Path, estimators: str | None, checkpoints: str | None, samples: int, fit_steps: int, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Variance and bias of gradient estimators on a trained model (alias: variance).

    \b
    airctl variance-report runs/first
    airctl variance-report runs/first --samples 200 --estimators exact,score-function
    airctl variance-report runs/first --estimators all --checkpoints 0,500,last
    """
    from airctl import api, reporting

    names = _names(estimators) or list(api.TABLE_1)
    with tqdm(total=samples, unit="sample", file=sys.stderr, disable=as_json, dynamic_ncols=True) as bar:

        def reached(step: int) -> None:
            bar.reset()
            bar.set_description(f"step {step}")

        def fitting(name: str, step: int) -> None:
            bar.set_postfix_str(f"fitting the baseline of {name}: {step}/{fit_steps}")

        def sampled(done: int) -> None:
            if done == 1:
                bar.reset()  # so that the time left is that of samples alone
                bar.set_postfix_str("")
            bar.update(done - bar.n)

        result = api.measure_variance(
            run, samples=samples, estimators=names, checkpoints=_names(checkpoints), fit_steps=fit_steps,
            on_checkpoint=reached, on_fit=fitting, on_sample=sampled, **options,
        )  # fmt: skip
    _echo(result, as_json, lambda: reporting.variance_table(result))
    if result["stopped_by"] is not None:
        say(f"stopped; {run / 'variance.json'} keeps what was measured")
        sys.exit(128 + result["stopped_by"])


@airctl.command(short_help="Draw the scenes of a file or a run.")
@click.argument("source", type=FILE, metavar="DATA.h5|RUN")
@click.option("-o", "--out", type=FILE, default=None, help="PNG to write; beside the file or in the run by default.")
@CHECKPOINT
def preview(source: Path, out: Path | None, checkpoint: str) -> None:
    """Draw scenes: a file's with the true boxes, or a run's with reconstructions and boxes in step order.

    \b
    airctl preview scenes.h5
    airctl preview runs/first -o found.png
    """
    from airctl import api

    picture = (
        api.draw_data(source, out=out) if source.is_file() else api.draw_run(source, checkpoint=checkpoint, out=out)
    )
    click.echo(picture)


@airctl.command(
    short_help="Several runs of one recipe and one table.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("data", type=FILE, metavar="DATA.h5")
@click.option("--run", type=FILE, required=True, help="Folder for the runs and the table.")
@click.option("--seeds", default="0..9", show_default=True, help="Such as 0..9 or 1,5,8.")
@click.option("--vary", multiple=True, metavar="KEY=V1,V2", help="Config values to try, each with every seed.")
@click.option("--jobs", type=click.IntRange(1, 1024), default=None, help="Processes at once; one a core by default.")
@click.option("--split", default="validation", show_default=True, help="validation, or test for the last word.")
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
    from airctl import reporting
    from airctl.sweep import parse_seeds, parse_variations
    from airctl.sweep import sweep as run_sweep

    result = run_sweep(
        data, run, parse_seeds(seeds), options=ctx.args, variations=parse_variations(vary), say=say, **options
    )
    _echo(result, as_json, lambda: reporting.sweep_table(result))


def _names(text: str | None) -> list[str]:
    """The words of a comma-separated option."""
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _resolve(
    preset: str | None, file: Path | None, estimator: str | None, steps: int | None, seed: int | None,
    settings: tuple[str, ...],
) -> config.Config:  # fmt: skip
    """Preset, then TOML file, then --set, then the options of their own; checked before anything is loaded."""
    base = config.preset(preset) if preset else None
    resolved = config.load(file, base) if file else base or config.preset("fast")
    named = {"objective.estimator": estimator, "train.steps": steps, "train.seed": seed}
    resolved = config.override(resolved, [*settings, *(f"{k}={v}" for k, v in named.items() if v is not None)])
    from airctl.objectives import require_known

    require_known(resolved.objective.estimator)
    return resolved


def _echo(result: dict[str, Any], as_json: bool, text: Callable[[], str]) -> None:
    click.echo(json.dumps(result) if as_json else text())
