"""Make scenes of one's own pictures, to train on: ``airctl import``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from PIL import Image

from airctl import scenes
from airctl.errors import ConfigError, InputFileError
from airctl.files import atomic_path, sha256_of
from airctl.reporting.annotate import with_scale
from airctl.results.imported import Imported
from airctl.scenes import Picture
from airctl.scenes.developing import check_size, require_bounded, require_fit
from airctl.scenes.importing import TEST, TRAIN
from airctl.scenes.own_pictures import Refuse

LEARNT_FROM = 64  # pictures, at most; more of one kind teach nothing new
COUNTED = 2000  # the same with counts, each of which teaches something
KINDS = {"yes": "dark on bright", "no": "bright on dark", "each": "some dark on bright, some bright on dark"}
PREVIEWED = 4  # pictures in a preview


def import_pictures(
    pictures: Sequence[Path | str],
    out: Path | str,
    *,
    object_size: float | None = None,
    channel: str | None = None,
    invert: str | None = None,
    background: str = "flat",
    adapt: bool = False,
    dataset: str | None = None,
    train: int = TRAIN,
    test: int = TEST,
    seed: int = 0,
    counts: Path | str | None = None,
    preview: Path | str | None = None,
    force: bool = False,
    refuse: Refuse | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Imported:
    """Write random crops of ``pictures`` (files, folders, patterns, stacks) to the scene file ``out``.

    ``object_size`` is the diameter of an object in pixels; it, the ``channel`` of colour pictures and whether to
    ``invert`` them ("yes", "no", "each") are found out if they are not said, and stored with the scenes. With ``adapt``
    size, polarity and contrast are found out anew for each picture that a model trained on the scenes is shown.
    ``counts`` is a CSV with the columns image,count: a scene that shows a whole picture has its count, a scene of a
    picture without objects has none, and nothing is known of the others; ``InputFileError`` for bad ones. A PNG
    ``preview`` shows what a model will see. Raises ``ConfigError`` if ``out`` or ``preview`` exists and ``force`` is
    not given. ``refuse`` is given the error of a picture that cannot be read, or that objects of a size that was
    said do not fit into; without it, that ``InputFileError`` is raised.
    """
    out = Path(out)
    scenes.check_output(out, force)
    if preview is not None:
        scenes.check_output(Path(preview), force)
    told = scenes.read_counts(Path(counts)) if counts is not None else None
    there = fitting_in(scenes.read_scenes(pictures, dataset, refuse), object_size, refuse)
    read = spread(there, LEARNT_FROM if told is None else COUNTED)
    size = None if object_size is None else float(object_size)
    how = scenes.choose(read, size, channel, invert, background)
    read = list(accepted(read, lambda picture: require_bounded(picture, how.object_size), refuse))
    of_each = None if told is None else scenes.counts_of([one.name for one in read], told, Path(str(counts)))
    how = replace(how, adapt="yes" if adapt else "no")
    say(
        f"{len(read)} picture{'s' if len(read) > 1 else ''}, objects of {how.object_size:.3g} pixels, "
        f"{KINDS[how.invert]}"
        + (f", channel {how.channel}" if any(picture.values.ndim == 3 for picture in read) else "")
    )
    if preview is not None:
        draw_preview(read, how, Path(preview))
    scenes.import_pictures(read, out, how, train=train, test=test, seed=seed, force=force, counts=of_each)
    counted = int(scenes.read_split(out, "train").counted.sum()) if of_each is not None else 0
    return Imported(
        path=str(out), sha256=sha256_of(out), pictures=len(read), train=train, test=test, seed=seed, counted=counted,
        **asdict(how),
    )  # fmt: skip


def spread(pictures: Iterable[Picture], most: int = LEARNT_FROM) -> list[Picture]:
    """At most ``most`` of the pictures, spread over all of them; ``ConfigError`` where there are none."""
    kept: list[Picture] = []
    step = 1
    for number, picture in enumerate(pictures):
        if number % step == 0:
            kept.append(picture)
        if len(kept) > most:
            kept, step = kept[::2], 2 * step
    if not kept:
        raise ConfigError("there is no picture to learn from: name at least one that can be read")
    return kept


def fitting_in(pictures: Iterable[Picture], object_size: float | None, refuse: Refuse | None) -> Iterator[Picture]:
    """The pictures that an object fits into whose size was said."""
    if object_size is None:
        return iter(pictures)
    check_size(object_size)
    return accepted(pictures, lambda picture: require_fit(picture, object_size), refuse)


def accepted(pictures: Iterable[Picture], check: Callable[[Picture], None], refuse: Refuse | None) -> Iterator[Picture]:
    """The pictures that ``check`` lets pass; its ``InputFileError`` goes to ``refuse``, or is raised without one."""
    for picture in pictures:
        try:
            check(picture)
        except InputFileError as error:
            if refuse is None:
                raise
            refuse(error)
        else:
            yield picture


def draw_preview(pictures: Sequence[Picture], how: scenes.PictureConfig, out: Path) -> None:
    """A PNG with some of the pictures, each with a circle of the size of an object, beside what the model will see."""
    rows = []
    for picture in pictures[:PREVIEWED]:
        shown = with_scale(picture.pixels, how.object_size)
        seen = scenes.develop(picture, how).canvas
        right = Image.fromarray(seen).convert("RGB").resize(shown.size, Image.Resampling.BICUBIC)
        row = Image.new("RGB", (2 * shown.width + 6, shown.height), "#FFFFFF")
        row.paste(shown, (0, 0))
        row.paste(right, (shown.width + 6, 0))
        row.thumbnail((1600, 1600))
        rows.append(row)
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height + 6 for row in rows)), "#FFFFFF")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + 6
    with atomic_path(out) as part:
        sheet.save(part, format="PNG")
