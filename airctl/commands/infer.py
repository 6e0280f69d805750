"""Count and find the objects of one's own pictures with a trained model: ``airctl infer``."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from airctl.commands.found_files import FoundFiles, check_folder, mended
from airctl.commands.found_files import key as row_key
from airctl.commands.loaded import Loaded, load
from airctl.errors import ConfigError
from airctl.inference import Found, check_choices, find_in_pictures
from airctl.results.found import FoundOrigin
from airctl.scenes import Fitting, Picture, read_scenes
from airctl.scenes.own import Refuse

_BATCH, _BATCH_PIXELS = 64, 2**25  # pictures read at once: so many, and no more once they have so many pixels


def infer(
    run: Path | str | Loaded,
    images: Sequence[Path | str],
    *,
    fitting: Fitting | None = None,
    dataset: str | None = None,
    checkpoint: str = "last",
    key: Path | str | None = None,
    num_steps: int | None = None,
    device: str = "auto",
    min_score: float = 0.0,
    exclude_edges: bool = False,
    out: Path | str | None = None,
    formats: Sequence[str] = (),
    force: bool = False,
    resume: bool = False,
    shard: tuple[int, int] = (1, 1),
    refuse: Refuse | None = None,
) -> Iterator[Found]:
    """Count and find the objects of ``images``: picture files, folders, glob patterns, .npy, .npz or HDF5 stacks.

    ``run`` is a run folder, an exported file, the name of a model that comes with airctl, or what ``load`` gave, with
    ``key`` as there; ``fitting`` says how a picture becomes what the model reads. Objects less probable than
    ``min_score`` or, with ``exclude_edges``, cut off by the picture's border are not counted.

    Into the folder ``out`` go the tables counts.csv and objects.csv, each picture with its boxes, what the model read
    beside what it drew, the objects cut out, and a page that shows all; with ``formats`` (of ``airctl.formats``) only
    those, in constant memory. ``resume`` goes on with the tables of a call that was stopped; ``shard`` (i, n) takes
    the i-th of n parts of the pictures. ``ConfigError`` if ``out`` holds something, without ``force`` or ``resume``.
    ``refuse`` is given the error of a picture that cannot be read, or that objects of the size that ``fitting`` says do
    not fit into; without it, that ``InputFileError`` is raised. ``ConfigError`` for a choice that has no effect.
    """
    loaded = run if isinstance(run, Loaded) else load(run, checkpoint, device, key)
    fitting = fitting or Fitting()
    check_choices(loaded.model, fitting, num_steps)
    part, parts = shard
    if not 1 <= part <= parts:
        raise ConfigError(f"shard={part}/{parts}: expected the number of one of the parts", "shard")
    if (formats or resume) and out is None:
        raise ConfigError("there is no folder to write to: say out=FOLDER", "out")
    done: set[str] = set()
    if out is not None:
        out = Path(out)
        if not resume:
            check_folder(out, force)
        formats = formats or ("csv",) * resume
        done = mended(out) if resume else done

    def wanted(name: str, unit: str) -> bool:
        return part_of(unit, parts) == part and row_key(name) not in done

    pictures = read_scenes(images, dataset, refuse, wanted)
    found = found_in(loaded, pictures, fitting, num_steps, min_score, exclude_edges, refuse)
    return _written(found, out, formats, resume, loaded.origin) if out is not None else found


def part_of(unit: str, parts: int) -> int:
    """Which of so many parts, from 1, has a picture of a stack, or a file with all its pages, by its name alone."""
    return zlib.crc32(unit.encode("utf-8", "surrogateescape")) % parts + 1


def found_in(
    loaded: Loaded, pictures: Iterator[Picture], fitting: Fitting, num_steps: int | None = None,
    min_score: float = 0.0, exclude_edges: bool = False, refuse: Refuse | None = None,
) -> Iterator[Found]:  # fmt: skip
    """What the model finds in each of ``pictures``, some of which are in memory at a time."""
    for batch in _batches(pictures):
        for found in find_in_pictures(loaded.model, batch, fitting, num_steps, refuse=refuse):
            yield found.kept(min_score, exclude_edges)


def _written(
    found: Iterator[Found], out: Path, formats: Sequence[str], resume: bool, origin: FoundOrigin
) -> Iterator[Found]:
    pictures = not formats
    with FoundFiles(out, formats or ("csv",), pictures=pictures, crops=pictures, resume=resume, origin=origin) as files:
        for one in found:
            files.add(one)
            yield one


def _batches(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH or sum(p.values.size for p in batch) > _BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch
