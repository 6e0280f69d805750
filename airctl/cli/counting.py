"""The commands for a person's own pictures: count them, or cut them into scenes to train on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from airctl.cli.found_output import FoundTold, Refused
from airctl.cli.shell import DEVICE, FILE, JSON, Word, airctl, echo, say, words


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of pixels, or auto; ``found_out`` is what auto is."""

    name = "size"

    def __init__(self, found_out: float | None) -> None:
        self.found_out = found_out

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "PX|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == "auto":
            return self.found_out
        try:
            size = float(value)
        except ValueError:
            size = -1.0
        if not 0 < size < 1e5:
            self.fail(f"{value!r} is no size: expected a number of pixels, or auto", param, ctx)
        return size


def choices(command: Any) -> Any:
    """The options that say how pictures become scenes."""
    for option in reversed(
        [
            click.option(
                "--object-size", type=Size(None), default="auto", show_default=True, help="Diameter of an object."
            ),
            click.option(
                "--channel", type=Word("auto", "grey", "red", "green", "blue", "brightest"), default="auto",
                show_default=True, help="What to look at of colour pictures.",
            ),
            click.option(
                "--invert", type=Word("auto", "yes", "no", "each"), default="auto", show_default=True,
                help="Objects are dark on bright; each: as each picture is.",
            ),
            click.option(
                "--background", type=Word("flat", "none"), default=None,
                help="Take uneven light off, or not; flat by default.",
            ),
            click.option("--dataset", default=None, help="Array of an .npz or HDF5 file; images by default."),
            click.option(
                "--seed", type=click.IntRange(0, 2**31 - 1), default=None, help="Of crops and training; 0 by default."
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def _said(how: dict[str, Any]) -> dict[str, Any]:
    """What the person has said; the library has the rest."""
    return {name: value for name, value in how.items() if value not in (None, "auto")}


@airctl.command(short_help="Learn what your pictures show, and count it.")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURES...")
@click.option("-o", "--out", type=FILE, default="found", show_default=True, help="Folder for all that is written.")
@click.option("--run", type=FILE, default=None, help="A run or model that knows such objects: nothing is learnt.")
@choices
@click.option("--steps", type=click.IntRange(1), default=None, help="Training steps; 600 by default.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Leave out less probable objects.")
@click.option("--exclude-edges", is_flag=True, help="Leave out objects that the border cuts off.")
@click.option("--format", "formats", default=None, help="Also for other tools: coco,yolo,labels,imagej,geojson.")
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="CPU threads; 2 by default.")
@DEVICE
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option("--strict", is_flag=True, help="Exit with code 8 if a count cannot be trusted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture on stdout.")
def count(
    pictures: tuple[str, ...], out: Path, formats: str | None, strict: bool, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Count the objects of your pictures without labels and without a model: it learns what they look like first.

    \b
    airctl count photo.jpg
    airctl count scans/ 'more/*.tif' -o found --object-size 24
    airctl count new/ --run found/run -o found-new

    PICTURES are files, folders, patterns, multi-page TIFFs, or .npy, .npz and HDF5 stacks; grey or colour, 8 or 16
    bits, bright on dark or dark on bright. Objects should be of one kind, about as large as one another, on a
    background that is smoother than they are. Training takes a minute or two; Ctrl-C stops it. FOLDER/counts.html
    shows every picture with its boxes, counts.csv and objects.csv hold the numbers, preview.png what the model sees,
    and run the model, which counts further pictures at once (--run).

    A picture that cannot be read, or that objects of --object-size do not fit into, is named on stderr and left out,
    and the exit code is 3.
    """
    from airctl.cli.progress import TrainingBar
    from airctl.commands import count as command
    from airctl.results.training import TrainResult

    ended: list[TrainResult] = []
    with Refused() as refused, TrainingBar(quiet=as_json) as show, FoundTold(as_json, strict) as told:
        for found in command.count(
            pictures, out, formats=words(formats), refuse=refused, on_progress=show, say=say, trained=ended.append,
            **_said(how),
        ):  # fmt: skip
            show.close()
            told(found)
        if ended and ended[0].stopped_by is not None:
            say(f"stopped before anything was counted: airctl train --run {out / 'run'} --resume goes on")
            sys.exit(128 + ended[0].stopped_by)
        if not as_json:
            say(f"pictures with boxes: {out / 'counts.html'}")


@airctl.command("import", short_help="Cut your pictures into scenes to train on.")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURES...")
@click.option("-o", "--out", type=FILE, default="scenes.h5", show_default=True, help="Scene file to write.")
@choices
@click.option("--train", type=click.IntRange(1, 10**7), default=18_000, show_default=True, help="Scenes to train on.")
@click.option("--test", type=click.IntRange(0, 10**7), default=1_000, show_default=True, help="Scenes to test on.")
@click.option("--counts", type=FILE, default=None, help="CSV of the counts of some pictures: image,count.")
@click.option("--preview", type=FILE, default=None, help="PNG of what a model will see.")
@click.option("--adapt", is_flag=True, help="Size, polarity and contrast anew for each picture shown to the model.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@JSON
def import_(
    pictures: tuple[str, ...], as_json: bool, out: Path, preview: Path | None, counts: Path | None, **how: Any
) -> None:
    """Cut your own pictures into scenes to train on; no counts are needed.

    \b
    airctl import photo.jpg -o scenes.h5 --preview seen.png
    airctl train scenes.h5 --run runs/mine --steps 600
    airctl infer runs/mine photo.jpg

    How large the objects are (--object-size), whether they are dark on bright (--invert) and which channel of colour
    pictures is looked at (--channel) is found out and said; --preview shows it. It is stored with the scenes, and
    done again to every picture that the model is shown.

    The count of a picture (--counts) is known of a scene that shows all of it, and of every scene of an empty picture;
    'airctl train --labels N' tells a model such counts.
    """
    from airctl.commands import import_pictures as command

    with Refused() as refused:
        result = command.import_pictures(
            pictures, out, preview=preview, counts=counts, refuse=refused, say=say, **_said(how)
        )  # fmt: skip

        def line(told: dict[str, Any]) -> str:
            counted = (
                f", the counts of {told['counted']} of the {told['train']} are known" if counts is not None else ""
            )
            return f"{told['path']}: {told['train']} + {told['test']} scenes{counted}"

        echo(result, as_json, line)
