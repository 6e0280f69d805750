"""Commands that make and show scenes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from airctl.cli.shell import CHECKPOINT, FILE, JSON, Word, airctl, echo, say


@airctl.command("generate-data", short_help="Make Multi-MNIST scenes with known counts and boxes.")
@click.argument("out", type=FILE, metavar="OUT.h5")
@click.option("--digits", default="mnist", show_default=True, help="mnist, mnist-5k, font, or a file or folder.")
@click.option("--preset", type=Word("observations", "pyro"), default="observations", show_default=True)
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

    echo(result, as_json, lines)


@airctl.command(short_help="What a data file or a run is.")
@click.argument("source", type=FILE, metavar="DATA.h5|RUN")
@JSON
def info(source: Path, as_json: bool) -> None:
    """Tell what a data file or a run is, and check every byte of the file.

    \b
    airctl info scenes.h5
    airctl info runs/first --json
    """
    from airctl import reporting
    from airctl.commands.info import info as describe

    result = describe(source)
    echo(result, as_json, lambda: reporting.info_lines(result))


@airctl.command(short_help="Draw a data file, or what a run finds in it.")
@click.argument("source", type=FILE, metavar="DATA.h5|RUN")
@click.option("-o", "--out", type=FILE, default=None, help="PNG to write; beside the file or in the run by default.")
@click.option("--split", type=Word("train", "test"), default="train", show_default=True, help="Of a file.")
@CHECKPOINT
def preview(source: Path, out: Path | None, split: str, checkpoint: str) -> None:
    """Draw scenes: a file's with true boxes, counts and pixel values, or a run's with reconstructions and boxes.

    \b
    airctl preview scenes.h5
    airctl preview runs/first -o found.png

    A run's boxes are numbered by colour in the order in which the model attended.
    """
    from airctl.commands.preview import draw_data, draw_run

    if source.is_file():
        picture = draw_data(source, split=split, out=out)
    else:
        picture = draw_run(source, checkpoint=checkpoint, out=out)
    click.echo(picture)
