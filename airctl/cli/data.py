"""Commands that make and show scenes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from airctl.cli.shell import CHECKPOINT, FILE, JSON, airctl, echo, say


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

    echo(result, as_json, lines)


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
