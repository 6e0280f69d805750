"""Count and find the objects of one's own pictures with a trained model: ``airctl infer``."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from airctl.commands.found_files import FoundFiles, check_folder, mended
from airctl.commands.found_files import key as row_key
from airctl.commands.import_pictures import fitting_in
from airctl.commands.loaded import Loaded, load
from airctl.commands.shares import Merged, Shares
from airctl.errors import ConfigError
from airctl.group import current
from airctl.inference import Found, check_choices, find_in_pictures
from airctl.results.found import FoundOrigin
from airctl.scenes import Fitting, Picture, read_scenes
from airctl.scenes.own_pictures import Refuse

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
    the i-th of n parts of the pictures. Under torchrun the processes share them; the first writes, and returns what all
    have found, the others return nothing. ``ConfigError`` if ``out`` holds something, without ``force`` or ``resume``.
    ``refuse`` is given the error of a picture that cannot be read, or that objects of the size that ``fitting`` says do
    not fit into; without it, that ``InputFileError`` is raised. ``ConfigError`` for a choice that has no effect.
    """
    group, done, place = current(), set[str](), None if out is None else Path(out)
    fitting = fitting or Fitting()
    part, parts = shard
    with group.leader_first():
        loaded = run if isinstance(run, Loaded) else load(run, checkpoint, device, key)
        check_choices(loaded.model, fitting, num_steps)
        if not 1 <= part <= parts:
            raise ConfigError(f"shard={part}/{parts}: expected the number of one of the parts", "shard")
        if (formats or resume) and out is None:
            raise ConfigError("there is no folder to write to: say out=FOLDER", "out")
    if place is not None:
        if not resume:
            group.told(lambda: check_folder(place, force))
        formats = formats or ("csv",) * resume
        done = group.told(lambda: mended(place)) if resume else done
    shares = Shares(part, parts, group)
    found = found_in(
        loaded, images, fitting, shares, dataset=dataset, refuse=refuse, done=done, num_steps=num_steps,
        min_score=min_score, exclude_edges=exclude_edges,
    )  # fmt: skip
    return _written(found, place, formats, resume, loaded.origin) if place is not None and group.leads else found


def found_in(
    loaded: Loaded, images: Sequence[Path | str], fitting: Fitting, shares: Shares, *, dataset: str | None = None,
    refuse: Refuse | None = None, done: Container[str] = (), fit_in: float | None = None,
    num_steps: int | None = None, min_score: float = 0.0, exclude_edges: bool = False,
) -> Iterator[Found]:  # fmt: skip
    """What the model finds in each of the pictures of ``images``, some of which are in memory at a time.

    Without those whose names, as ``key`` writes them, are ``done``, and those that an object of ``fit_in`` pixels does
    not fit into. Of several processes the first gets all of it.
    """
    merged = Merged(shares.group, shares, refuse)

    def wanted(name: str, unit: str) -> bool:
        return shares(unit) and row_key(name) not in done

    def batches() -> Iterator[list[tuple[int, Found]]]:
        read = fitting_in(read_scenes(images, dataset, merged.refuse, wanted), fit_in, merged.refuse)
        for batch in _batches((shares.place, one) for one in read):
            pictures, left = [picture for _, picture in batch], iter(batch)
            found = find_in_pictures(loaded.model, pictures, fitting, num_steps, refuse=merged.refuse)
            # Of those that were refused there is nothing; the others come in the order of the pictures.
            placed = [(next(p for p, picture in left if picture.name == one.image), one) for one in found]
            yield [(place, one.kept(min_score, exclude_edges)) for place, one in placed]

    return merged(batches())


def _written(
    found: Iterator[Found], out: Path, formats: Sequence[str], resume: bool, origin: FoundOrigin
) -> Iterator[Found]:
    pictures = not formats
    with FoundFiles(out, formats or ("csv",), pictures=pictures, crops=pictures, resume=resume, origin=origin) as files:
        for one in found:
            files.add(one)
            yield one


def _batches(pictures: Iterator[tuple[int, Picture]]) -> Iterator[list[tuple[int, Picture]]]:
    batch: list[tuple[int, Picture]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH or sum(p.values.size for _, p in batch) > _BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch
