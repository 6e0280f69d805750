"""The command that looks at a person's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from airctl.cli.shell import CHECKPOINT, DEVICE, FILE, Word, airctl, in_options, shown, warn
from airctl.results.door import dumps, to_json


@airctl.command(short_help="Counts, boxes and crops for your own pictures.")
@click.argument("run", type=FILE, metavar="RUN|FILE.airctl")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("-o", "--out", type=FILE, default=None, help="Folder for annotated PNGs, crops and reconstructions.")
@click.option("--invert", type=Word("auto", "yes", "no"), default="auto", show_default=True, help="Dark to bright.")
@click.option(
    "--background", type=click.IntRange(0, 255), default=None, help="Its brightness; the border's by default."
)
@click.option(
    "--fit", type=Word("pad", "stretch"), default="pad", show_default=True, help="Keep the aspect ratio or not."
)
@click.option("--fill", type=float, default=1.0, show_default=True, help="Share of the canvas that a picture takes.")
@click.option("--resample", type=Word("area", "lanczos", "nearest"), default="area", show_default=True)
@click.option("--dataset", default=None, help="Array of an .npz or HDF5 file; images, or test/images, by default.")
@click.option("--num-steps", type=click.IntRange(1, 64), default=None, help="Steps to take; as in training by default.")
@CHECKPOINT
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture on stdout.")
@click.pass_context
def infer(
    ctx: click.Context, /, run: Path, images: tuple[str, ...], out: Path | None, dataset: str | None,
    num_steps: int | None, checkpoint: str, device: str, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Find and count the objects of your own pictures (alias: predict).

    \b
    airctl infer runs/first photo.jpg
    airctl infer runs/first scans/ 'more/*.tif' -o found --json

    IMAGES are files, folders, patterns, or .npy, .npz and HDF5 stacks. The model reads small square canvases, bright
    on black. Each picture is made grey, and inverted if its border is bright (--invert); what is as dark as its border
    becomes black (--background). It is resized to the canvas (--resample: averages, Lanczos or the nearest pixel) and
    padded with black (--fit stretch fills the canvas instead). Objects must be about as large on the canvas as in
    training: --fill 0.5 makes them half as large. Boxes are in pixels of the original picture. Unreadable files are
    reported on stderr, and the exit code is 3.
    """
    from airctl import errors, reporting, scenes
    from airctl.commands import infer as command

    refused: list[errors.InputFileError] = []

    def refuse(error: errors.InputFileError) -> None:
        refused.append(error)
        warn(in_options(error))

    rows = []
    for found in command.infer(
        run, images, fitting=scenes.Fitting(**how), dataset=dataset, checkpoint=checkpoint, num_steps=num_steps,
        device=device, out=out, refuse=refuse,
    ):  # fmt: skip
        result = command.as_result(found)
        if as_json:
            click.echo(dumps(result))
        else:
            rows.append(to_json(result) | {"image": shown(found.image)})
    if rows:
        click.echo(reporting.found_table(rows))
    if refused:
        ctx.exit(errors.InputFileError.exit_code)
