"""Commands that make and show scenes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from airctl.cli.shell import CHECKPOINT, DATA, FILE, JSON, Word, airctl, echo, echo_path, say, warn


@airctl.command("generate-data", short_help="Make Multi-MNIST scenes with known counts and boxes.")
@click.argument("out", type=FILE, metavar="OUT.h5")
@click.option(
    "--digits", "--objects", default="mnist", show_default=True, help="mnist, mnist-5k, font, blobs, a file or folder."
)
@click.option("--preset", type=Word("observations", "pyro"), default="observations", show_default=True)
@click.option("--train", default=60_000, show_default=True, type=click.IntRange(0), help="Training scenes.")
@click.option("--test", default=10_000, show_default=True, type=click.IntRange(0), help="Test scenes; 0: none.")
@click.option("--min-digits", default=0, show_default=True, type=click.IntRange(0, 9), help="Fewest digits per scene.")
@click.option("--max-digits", default=2, show_default=True, type=click.IntRange(0, 9), help="Most digits per scene.")
@click.option("--canvas", default=50, show_default=True, type=click.IntRange(1, 4096), help="Side in pixels.")
@click.option(
    "--scale",
    "--scale-mean",
    "scale_mean",
    metavar="MEAN",
    default=1.3,
    show_default=True,
    type=click.FloatRange(0.01, 100),
    help="Digits shrink by this on average: 2 makes 14 pixels of 28.",
)
@click.option(
    "--scale-sd",
    metavar="SD",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="Its standard deviation.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=None, help="Of the scenes; the preset's own by default."
)
@click.option("--mnist-dir", type=FILE, default=Path("data/mnist"), show_default=True, help="Folder for MNIST.")
@click.option("--force", is_flag=True, help="Replace OUT.h5 once the new one is complete.")
@JSON
def generate_data(out: Path, digits: str, mnist_dir: Path, force: bool, as_json: bool, **settings: Any) -> None:
    """Make Multi-MNIST scenes with known counts, labels and boxes.

    \b
    airctl generate-data scenes.h5
    airctl generate-data small.h5 --digits font --train 2000 --test 500
    airctl generate-data seven.h5 --min-digits 7 --max-digits 7 --scale 2 --canvas 48
    """
    from airctl import scenes
    from airctl.commands import generate

    spec = scenes.SceneSpec(**settings)
    result = generate.generate(
        out,
        spec,
        digits=digits,
        mnist_dir=mnist_dir,
        force=force,
        say=say,
        progress_bar=not as_json and sys.stderr.isatty(),
    )

    def lines(told: dict[str, Any]) -> str:
        splits = [f"{name}: {told[name]['scenes']} scenes, counts {told[name]['counts']}" for name in ("train", "test")]
        return "\n".join([f"{out} from {told['digits']['source']} digits", *splits])

    echo(result, as_json, lines)


@airctl.command("generate-cells", short_help="Make pictures like those of a microscope, with known counts and boxes.")
@click.argument("out", type=FILE, metavar="OUT_FOLDER")
@click.option("--pictures", default=12, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--cells", default="40..300", show_default=True, help="In each picture, such as 150 or 40..300.")
@click.option("--size", default="600x400", show_default=True, help="Width and height of a picture in pixels.")
@click.option("--diameter", default=20.0, show_default=True, help="Of a cell, pixels; they vary by a quarter.")
@click.option(
    "--touch",
    default=0.85,
    show_default=True,
    help="Least distance of two centres over the sum of the radii; below 1 cells overlap.",
)
@click.option("--noise", default=0.05, show_default=True, help="Standard deviation; 1 is from black to white.")
@click.option(
    "--dark",
    type=Word("none", "some", "all"),
    default="some",
    show_default=True,
    help="Pictures of dark cells on bright.",
)
@click.option("--bits", type=Word("8", "16"), default="8", show_default=True, help="Of a pixel.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the pictures.")
@click.option("--force", is_flag=True, help="Replace the pictures of cells and the tables in OUT_FOLDER.")
@JSON
def generate_cells(out: Path, cells: str, size: str, bits: str, as_json: bool, **settings: Any) -> None:
    """Make pictures that look like cells under a microscope: noisy, touching, unevenly lit.

    \b
    airctl generate-cells cells
    airctl generate-cells crowded --cells 400 --noise 0.1 --dark all
    airctl generate-cells large --pictures 3 --size 4000x3000 --cells 2000 --diameter 40 --bits 16

    counts.csv has the count of each picture, boxes.csv the box of each cell. The same options give the same pictures.
    """
    from airctl.commands import generate_cells as command

    result = command.generate_cells(
        out,
        cells=command.parse_cells(cells),
        size=command.parse_size(size),
        bits=int(bits),
        progress_bar=not as_json and sys.stderr.isatty(),
        **settings,
    )

    def lines(told: dict[str, Any]) -> str:
        return (
            f"{out}: {told['pictures']} pictures of {size} pixels with {told['cells']} cells, dark on bright in "
            f"{told['dark']}; counts.csv, boxes.csv"
        )

    echo(result, as_json, lines)


@airctl.command(short_help="What a scene file, run or exported model is.")
@click.argument("source", type=FILE, metavar="DATA.h5|RUN|FILE.airctl|NAME")
@JSON
def info(source: Path, as_json: bool) -> None:
    """Describe a scene file, a run folder or an exported model; every byte of a file is checked.

    \b
    airctl info scenes.h5
    airctl info runs/first --json
    airctl info blobs

    NAME is that of a model that comes with airctl: blobs or digits.
    """
    from airctl import reporting
    from airctl.commands.info import info as describe

    def lines(told: dict[str, Any]) -> str:
        size = told.get("object_size")
        sides = f"\nsize       an object with its margin has {size:.1f} pixels a side" if size is not None else ""
        return reporting.info_lines(told) + sides

    echo(describe(source), as_json, lines)


@airctl.command(short_help="Draw a scene file, or what a run finds in it.")
@click.argument("source", type=FILE, metavar="DATA.h5|RUN|FILE.airctl|NAME")
@click.option("-o", "--out", type=FILE, default=None, help="PNG to write; beside the file or in the run by default.")
@click.option("--force", is_flag=True, help="Replace a picture that exists.")
@click.option("--split", type=Word("train", "test"), default="train", show_default=True, help="Of a scene file.")
@DATA
@CHECKPOINT
def preview(source: Path, out: Path | None, force: bool, split: str, data: Path | None, checkpoint: str) -> None:
    """Draw scenes: a file's with true boxes, counts and pixel values, or a run's with reconstructions and boxes.

    \b
    airctl preview scenes.h5
    airctl preview runs/first -o found.png

    A run's boxes are numbered by colour in the order in which the model attended.
    """
    from airctl.commands.preview import draw_data, draw_run

    if source.is_file() and source.suffix != ".airctl":
        picture = draw_data(source, split=split, out=out, force=force)
    else:
        picture = draw_run(source, data=data, checkpoint=checkpoint, out=out, force=force, warn=warn)
    echo_path(picture)
