"""Count and find the objects of one's own pictures: ``airctl infer``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from airctl.commands.loaded import Loaded, load
from airctl.files import atomic_path
from airctl.formats.writer import file_name
from airctl.inference import Found, find_in_pictures
from airctl.reporting.annotate import annotated, side_by_side
from airctl.results.found import FoundObject, FoundPicture
from airctl.scenes import Fitting, Picture, read_scenes
from airctl.scenes.own import Refuse

_BATCH, _BATCH_PIXELS = 64, 2**25  # pictures read at once: so many, and no more once they have so many pixels


def infer(
    run: Path | str,
    images: Sequence[Path | str],
    *,
    fitting: Fitting | None = None,
    dataset: str | None = None,
    checkpoint: str = "last",
    num_steps: int | None = None,
    device: str = "auto",
    out: Path | str | None = None,
    refuse: Refuse | None = None,
) -> Iterator[Found]:
    """Count and find the objects of ``images``: picture files, folders, glob patterns, .npy, .npz or HDF5 stacks.

    ``fitting`` says how a picture becomes the model's canvas; the count is the most probable one, as in ``evaluate``.
    Into the folder ``out`` go, for each picture, itself with the boxes, the
    objects cut out of it, and what the model read beside what it drew. ``refuse`` is given the error of a file that
    cannot be read; without it, that ``InputFileError`` is raised.
    """
    loaded = load(run, checkpoint, device)
    folder = Path(out) if out is not None else None
    return _infer(loaded, images, fitting or Fitting(), dataset, num_steps, folder, refuse)


def as_result(found: Found) -> FoundPicture:
    """What was found in a picture without its pixels, rounded to a tenth of a pixel and a hundredth of a per cent."""
    boxes = [
        FoundObject((round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)), round(box.probability, 4))
        for box in found.boxes
        for x0, y0, x1, y1 in [box.box]
    ]
    return FoundPicture(found.image, found.count, [round(p, 4) for p in found.probabilities], boxes)


def _infer(
    loaded: Loaded,
    images: Sequence[Path | str],
    fitting: Fitting,
    dataset: str | None,
    num_steps: int | None,
    out: Path | None,
    refuse: Refuse | None,
) -> Iterator[Found]:
    number = 0
    for pictures in _batches(read_scenes(images, dataset, refuse)):
        for found in find_in_pictures(loaded.model, pictures, fitting, loaded.log_p(num_steps)):
            number += 1
            if out is not None:
                _draw(found, out, number)
            yield found


def _batches(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH or sum(p.pixels.size for p in batch) > _BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _draw(found: Found, out: Path, number: int) -> None:
    """NNNN_name.png with the boxes, _model.png with canvas and reconstruction, _1.png, _2.png... with the objects."""
    name = file_name(number, found.image)
    pictures = {"": annotated(found.picture, [b.box for b in found.boxes], [b.probability for b in found.boxes])}
    pictures["_model"] = side_by_side(found.canvas, found.reconstruction)
    pictures |= {f"_{i}": cut for i, cut in enumerate(map(Image.fromarray, found.crops()), 1)}
    for suffix, picture in pictures.items():
        with atomic_path(out / f"{name}{suffix}.png") as part:
            picture.save(part, format="PNG")
