"""Commands that measure a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from airctl import errors
from airctl.cli.shell import CHECKPOINT, DATA, DEVICE, FILE, JSON, SEED, Word, airctl, echo, echo_path, say, warn, words


@airctl.command("eval", short_help="Count accuracy and confusion matrix of a run.")
@click.argument("run", type=FILE, metavar="RUN|FILE.airctl|NAME")
@DATA
@click.option("--split", type=Word("test", "train"), default="test", show_default=True)
@click.option("--num-steps", type=click.IntRange(1, 64), default=None, help="Steps to take; as in training by default.")
@click.option(
    "--log-likelihood",
    type=click.IntRange(1),
    default=None,
    metavar="K",
    help="Estimate log p(x) from K samples of each scene, such as 1000: K passes over all scenes.",
)
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
    airctl eval runs/first --log-likelihood 1000
    """
    from airctl import reporting
    from airctl.commands import evaluate as command

    result = command.evaluate(run, warn=warn, **options)
    echo(result, as_json, reporting.count_table)
    if not result.accurate_enough:
        raise errors.AccuracyMissedError(
            f"count accuracy {result.count_accuracy:.4f} is below the {options['min_accuracy']:.4f} asked for"
        )


@airctl.command("variance-report", short_help="Variance and bias of gradient estimators.")
@click.argument("run", type=FILE, metavar="RUN|FILE.airctl|NAME")
@click.option("--samples", default=1000, show_default=True, type=click.IntRange(4), help="Gradients of each estimator.")
@click.option("--estimators", default=None, metavar="A,B,C", help="all; by default those of --table-1.")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1), help="Scenes in the one batch.")
@click.option("--fit-steps", default=1000, show_default=True, type=click.IntRange(0), help="To fit a missing baseline.")
@click.option("--checkpoints", default=None, metavar="A,B|all", help="Several checkpoints; 0: the untrained model.")
@click.option(
    "--table-1",
    "--against-report",
    "table_1",
    is_flag=True,
    help="Show Table 1 of Drelich 2019, row by row, with our figures beside it.",
)
@DATA
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
    airctl variance-report runs/first --table-1
    airctl variance-report runs/first --samples 200 --estimators exact,score-function
    airctl variance-report runs/first --estimators all --checkpoints 0,500,last
    """
    from airctl import reporting
    from airctl.commands import variance
    from airctl.commands.estimators import known_estimators
    from airctl.results.table_1 import TABLE_1

    names = words(estimators) or list(TABLE_1)
    quiet = as_json or not sys.stderr.isatty()
    known_estimators(names)
    with tqdm(total=samples, unit="roll-out", file=sys.stderr, disable=quiet, dynamic_ncols=True) as bar:

        def reached(step: int) -> None:
            bar.reset(samples)
            bar.set_description(f"step {step}")

        def fitting(step: int) -> None:
            bar.set_postfix_str(f"fitting baselines: {step}/{fit_steps}")

        def sampled(done: int, of: int) -> None:
            if of != bar.total or done < bar.n:
                bar.reset(of)  # so that the time left is that of samples alone
                bar.set_postfix_str("")
            bar.update(done - bar.n)

        result = variance.measure_variance(
            run, samples=samples, estimators=names, checkpoints=words(checkpoints), fit_steps=fit_steps,
            on_checkpoint=reached, on_fit=fitting, on_sample=sampled, warn=warn, **options,
        )  # fmt: skip
    echo(result, as_json, reporting.variance_table)
    if result.stopped_by is not None:
        say(f"stopped; {run / 'variance.json'} keeps what was measured" if run.is_dir() else "stopped")
        sys.exit(128 + result.stopped_by)


@airctl.command(short_help="One HTML page of a run, or of several side by side.")
@click.argument("runs", type=FILE, nargs=-1, required=True, metavar="RUN...")
@click.option("-o", "--out", type=FILE, default=None, help="HTML to write; RUN/report.html by default.")
@click.option("--data", type=FILE, default=None, help="Scene file to evaluate on; the run's own by default.")
@click.option("--force", is_flag=True, help="Replace the file that -o names, if it exists.")
@DEVICE
def report(runs: tuple[Path, ...], **options: Any) -> None:
    """Write everything about a run into one HTML page that needs no network.

    \b
    airctl report runs/first
    airctl report runs/first runs/second -o compare.html

    The page has numbers, curves, scenes, failures and commands. A run that is not evaluated yet is evaluated first.
    """
    from airctl.commands import report as command

    echo_path(command.report(runs, warn=warn, **options))


@airctl.command(short_help="A trained model as one small file, or as ONNX.")
@click.argument("run", type=FILE, metavar="RUN|FILE.airctl|NAME")
@click.option("-o", "--out", type=FILE, required=True, metavar="FILE", help="FILE.airctl, or FILE.onnx for ONNX.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("--sign", type=FILE, default=None, metavar="KEY", help="Secret key of minisign: FILE.minisig beside it.")
@CHECKPOINT
def export(run: Path, out: Path, sign: Path | None, **options: Any) -> None:
    """Write the model of a run to one file, without what only training needs, or as ONNX.

    \b
    airctl export runs/first -o digits.airctl
    airctl infer digits.airctl photo.jpg
    airctl export runs/first -o digits.onnx

    FILE.airctl holds weights, config, origin and a sha256 of it all, which is checked when it is read, and no path of
    this machine. count, infer, eval, preview, variance-report and info take it in the place of a run folder, or the
    name of a model that comes with airctl. Their scene file is then the one of the name that it was trained on, if it
    lies in the current folder, or --data. An exported file is written anew with the same weights.

    FILE.onnx is for programs without airctl (docs/onnx.md): three graphs, FILE.map.onnx, FILE.encoder.onnx and
    FILE.decoder.onnx, which are compared with the model before they are written. It needs airctl[onnx] and a model
    of proposals, such as preset fast trains.

    --sign writes a signature beside each file, which verify --key, infer --key and the program minisign check; it needs
    airctl[signing]. 'minisign -G' makes the two keys.
    """
    from airctl.commands import export as command
    from airctl.training.signed import Signer

    if out.suffix not in (".airctl", ".onnx"):
        raise errors.ConfigError(f"out={out}: expected a name that ends in .airctl or .onnx", "out")
    if sign is not None:
        options["sign"] = Signer(sign, lambda: click.prompt("Password of the key", hide_input=True, err=True))
    as_onnx = out.suffix == ".onnx"
    written = command.export_onnx(run, out, **options) if as_onnx else [command.export(run, out, **options)]
    for path in written:
        echo_path(path)
