"""The command that looks at a person's own pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from airctl.cli.counting import Size
from airctl.cli.found_output import FoundTold, Refused
from airctl.cli.placing import in_parts, places
from airctl.cli.shell import CHECKPOINT, DEVICE, FILE, KEY, Word, airctl, words


class Shard(click.ParamType):  # type: ignore[type-arg]
    """I/N: part I of N."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        part, slash, parts = str(value).partition("/")
        if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
            self.fail(f"{value!r} is no part: expected I/N, such as 1/4", param, ctx)
        return int(part), int(parts)


@airctl.command(short_help="Counts, boxes and crops for your own pictures.")
@click.argument("run", type=FILE, metavar="RUN|FILE.airctl|NAME")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("-o", "--out", type=FILE, default=None, help="Folder for tables, annotated pictures, crops and a page.")
@click.option("--csv", is_flag=True, help="Only counts.csv and objects.csv, as they come: for very many pictures.")
@click.option("--format", "formats", default=None, help="Only files such as csv,coco,yolo,labels,imagej,geojson.")
@click.option("--resume", is_flag=True, help="Go on with the tables of a call that was stopped (--csv).")
@click.option("--shard", type=Shard(), default="1/1", metavar="I/N", help="Only part I of N of the pictures.")
@places("part")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option("--object-size", type=Size(0.0), default=None, help="Diameter of an object in pixels of the pictures.")
@click.option(
    "--channel",
    type=Word("auto", "grey", "red", "green", "blue", "brightest"),
    default="auto",
    show_default=True,
    help="What to look at of colour pictures.",
)
@click.option(
    "--invert", type=Word("auto", "yes", "no", "each"), default="auto", show_default=True, help="Dark to bright."
)
@click.option(
    "--background", type=click.IntRange(0, 255), default=None, help="Its brightness; the border's by default."
)
@click.option(
    "--fit",
    type=Word("auto", "pad", "stretch", "whole"),
    default="auto",
    show_default=True,
    help="How a picture becomes a canvas.",
)
@click.option("--fill", type=float, default=None, help="Share of the canvas that a picture takes; 1 by default.")
@click.option("--resample", type=Word("area", "lanczos", "nearest"), default=None, help="area by default.")
@click.option("--dataset", default=None, help="Array of an .npz or HDF5 file; images, or test/images, by default.")
@click.option("--num-steps", type=click.IntRange(1, 64), default=None, help="Steps to take; as in training by default.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Leave out less probable objects.")
@click.option("--exclude-edges", is_flag=True, help="Leave out objects that the border cuts off.")
@CHECKPOINT
@KEY
@DEVICE
@click.option("--strict", is_flag=True, help="Exit with code 8 if a count cannot be trusted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture on stdout.")
def infer(
    run: Path, images: tuple[str, ...], out: Path | None, csv: bool, formats: str | None, resume: bool,
    shard: tuple[int, int], on: str, jobs: int | None, cores: int, gpus: float, force: bool, dataset: str | None,
    num_steps: int | None, min_score: float, exclude_edges: bool, checkpoint: str, key: Path | None, device: str,
    strict: bool, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Find and count the objects of your own pictures with a trained model (alias: predict).

    \b
    airctl infer runs/first photo.jpg
    airctl infer runs/first scans/ 'more/*.tif' -o found --json
    airctl infer blobs many/ -o found --csv --resume
    airctl infer blobs many/ -o found --csv --on ray

    IMAGES are files, folders, patterns, multi-page TIFFs, or .npy, .npz and HDF5 stacks. A model that has learnt from
    pictures (airctl count, airctl import) has yours made as those were; --object-size, --channel and --invert say what
    is different here. To any other model pictures are shown bright on black: inverted if the border is bright
    (--invert), what is as dark as the border black (--background). A picture larger than the canvas is then looked at
    pixel for pixel if the network reads any size (--fit whole), else resized to the canvas (--fit pad or stretch,
    --fill, --resample, --num-steps). Boxes are in pixels of the original picture.

    A picture unlike those that the model has learnt from is named on stderr; --strict makes that exit code 8. So is
    one that cannot be read, or that objects of --object-size do not fit into: it is left out, and the exit code is 3.

    With --jobs or --on ray (airctl[ray]) the pictures are counted in so many parts at once, by processes or on a
    cluster, and their tables merged at last; --resume goes on with the parts.
    """
    from airctl import scenes
    from airctl.commands import infer as command

    asked = ["csv"] * csv + words(formats)
    settings: dict[str, Any] = {
        "fitting": scenes.Fitting(**how), "dataset": dataset, "checkpoint": checkpoint, "num_steps": num_steps,
        "key": key, "device": device, "min_score": min_score, "exclude_edges": exclude_edges,
    }  # fmt: skip
    with Refused() as refused, FoundTold(as_json, strict) as told:
        if on != "local" or jobs is not None:
            if out is None or asked != ["csv"] or shard != (1, 1) or as_json:
                raise click.UsageError("--on ray and --jobs write the tables of all parts: say --csv -o FOLDER alone")
            in_parts(
                told, run, images, out, on=on, jobs=jobs, cores=cores, gpus=gpus, resume=resume, force=force,
                refuse=refused, **settings,
            )  # fmt: skip
            return
        found = command.infer(
            run, images, out=out, formats=asked, force=force, resume=resume, shard=shard, refuse=refused, **settings
        )
        for one in tqdm(found, unit=" pictures", file=sys.stderr, disable=not sys.stderr.isatty(), dynamic_ncols=True):
            told(one)
