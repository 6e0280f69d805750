"""Scenes in one HDF5 file (schema: data/README.md), written whole or not at all, read as from a stranger."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import h5py
import numpy as np

from airctl._version import __version__
from airctl.config import PictureConfig
from airctl.errors import ConfigError, InputFileError
from airctl.files import write_bytes
from airctl.scenes.glyphs import Glyphs, sha256_of_arrays
from airctl.scenes.hdf5 import (
    MAX_ATTRIBUTE_BYTES,
    RefusedError,
    check_chunks,
    child,
    opened,
    own_dataset,
    read_attribute,
)
from airctl.scenes.spec import MAX_CANVAS, MAX_IMAGE_BYTES, NO_LABEL, SceneSpec, SceneSplit

SCHEMA = 1
SPLITS = ("train", "test")
IMPORTED = "imported"  # the preset of scenes that are crops of pictures: they have images alone
EXPECTED = "scenes made by airctl generate-data or airctl import"  # told of a file that is something else

Attribute = int | float | str

# A fixed file format version: the same bytes from later HDF5 libraries too, and checksums over all metadata.
_LIBVER = ("v110", "v110")
_CHUNK_BYTES = 2**20
_DTYPES = {
    "images": np.uint8,
    "counts": np.uint8,
    "labels": np.uint8,
    "boxes": np.int16,
    "scales": np.float32,
    "digit_index": np.int32,
}
_ATTRIBUTES: dict[str, type] = {
    "schema": int,
    "generator": str,
    "generator_version": str,
    "preset": str,
    "seed": int,
    "train": int,
    "test": int,
    "max_digits": int,
    "canvas": int,
    "scale_mean": float,
    "scale_sd": float,
    "digits": str,
    "digits_sha256": str,
}
_OPTIONAL: dict[str, type] = {  # not in every file
    "min_digits": int,  # without it, 0
    "object_size": float,  # files of older versions and files without objects have none
    **{f"picture_{field.name}": {"str": str, "float": float}[str(field.type)] for field in fields(PictureConfig)},
}


# --- writing ---------------------------------------------------------------------------------------------------------


def write_scenes(
    path: Path, spec: SceneSpec, glyphs: Glyphs, train: SceneSplit, test: SceneSplit, replace: bool = True
) -> None:
    """Write both splits; the same scenes give the same bytes. A split of no scenes has no group.

    ``ConfigError`` for a file that is there, unless ``replace`` allows it.

    The file is made in memory and then written by plain writes, so that a full disk is reported as one.
    """
    _write(path, _attributes(spec, glyphs), train, test, [field.name for field in fields(SceneSplit)], replace)


def write_imported(
    path: Path, train: SceneSplit, test: SceneSplit, how: PictureConfig, object_size: float, seed: int, source: str,
    sha256: str,
) -> None:  # fmt: skip
    """Write crops of pictures, of which nothing but the images and some counts is known, and how they were developed.

    ``object_size`` is the side in pixels of a scene of an object with its margin; ``source`` says where the pictures
    come from, and ``sha256`` is that of their developed pixels.
    """
    attributes: dict[str, Attribute] = {
        "schema": SCHEMA,
        "generator": "airctl",
        "generator_version": __version__,
        "scale_mean": 1.0,
        "scale_sd": 0.0,
        "digits": source,
        "digits_sha256": sha256,
        "preset": IMPORTED,
        "train": len(train.images),
        "test": len(test.images),
        "max_digits": 0,
        "canvas": train.images.shape[1],
        "seed": seed,
        "object_size": object_size,
        **{f"picture_{name}": value for name, value in asdict(how).items()},
    }
    counted = train.counted.any() or test.counted.any()
    _write(path, attributes, train, test, ["images", "counts"] if counted else ["images"])


def picture_of(attributes: Mapping[str, Attribute]) -> PictureConfig:
    """How pictures became the scenes of a file with these attributes; as they are where it says nothing."""
    told = {field.name: attributes.get(f"picture_{field.name}") for field in fields(PictureConfig)}
    return PictureConfig() if None in told.values() else PictureConfig(**told)  # type: ignore[arg-type]


def _check_picture(attributes: Mapping[str, Attribute]) -> None:
    """All that is said of pictures is there and can be meant, or nothing is there."""
    named = [f"picture_{field.name}" for field in fields(PictureConfig)]
    there = [name for name in named if name in attributes]
    if attributes["preset"] != IMPORTED and not there:
        return
    missing = [name for name in named if name not in attributes]
    if attributes["preset"] != IMPORTED or missing:
        raise RefusedError(
            f"says of pictures {', '.join(there) or 'nothing'}: expected all of it in imported files alone"
        )
    for field, name in zip(fields(PictureConfig), named, strict=True):
        value, (low, high) = attributes[name], field.metadata.get("range", (0, 0))
        known = field.metadata.get("choices", (value,)) if isinstance(value, str) else ()
        if value not in known if isinstance(value, str) else not low <= value <= high:
            raise RefusedError(f"says {name} {value!r:.40}")
    if not attributes["picture_black"] < attributes["picture_white"]:  # type: ignore[operator]
        raise RefusedError(f"says picture_black {attributes['picture_black']}, white {attributes['picture_white']}")
    if attributes["max_digits"] != 0 or "object_size" not in attributes:
        raise RefusedError("is imported, but tells of objects as no imported file does")


def _write(
    path: Path, attributes: Mapping[str, Attribute], train: SceneSplit, test: SceneSplit, names: Sequence[str],
    replace: bool = True,
) -> None:  # fmt: skip
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=_LIBVER) as file:
        for name, value in attributes.items():
            _write_attribute(file, name, value)
        for name, split in zip(SPLITS, (train, test), strict=True):
            if len(split.counts):
                _write_split(file.create_group(name), split, names)
    write_bytes(path, buffer.getbuffer(), replace)


def _attributes(spec: SceneSpec, glyphs: Glyphs) -> dict[str, Attribute]:
    """In a fixed order, which decides the bytes of the file; what is not in every file comes last."""
    told = asdict(spec)
    least = told.pop("min_digits")
    size = spec.object_size(glyphs)
    scale = {name: float(told.pop(name)) for name in ("scale_mean", "scale_sd")}
    return {
        "schema": SCHEMA,
        "generator": "airctl",
        "generator_version": __version__,
        **scale,
        "digits": glyphs.source,
        "digits_sha256": glyphs.sha256,
        **told,
        **({"min_digits": least} if least else {}),
        **({"object_size": size} if size is not None else {}),
    }


def _write_attribute(group: h5py.Group, name: str, value: Attribute) -> None:
    """Strings are of fixed length: those of variable length would lie in a part of the file without checksums."""
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")[: MAX_ATTRIBUTE_BYTES // 2]
        group.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", len(raw)))
    else:
        group.attrs.create(name, value, dtype=np.float64 if isinstance(value, float) else np.int64)


def _write_split(group: h5py.Group, split: SceneSplit, names: Sequence[str]) -> None:
    _write_attribute(group, "sha256", _sha256(split, names))
    for name in names:
        values = getattr(split, name)
        rows = min(len(values), max(1, _CHUNK_BYTES // max(1, values[0].nbytes)))
        group.create_dataset(
            name,
            data=values,
            dtype=_DTYPES[name],
            chunks=(rows, *values.shape[1:]),
            compression="gzip",
            compression_opts=4,
            shuffle=True,
            fletcher32=True,
            track_times=False,
        )


def _sha256(split: SceneSplit, names: Sequence[str]) -> str:
    return sha256_of_arrays(*(getattr(split, name) for name in names))


# --- reading ---------------------------------------------------------------------------------------------------------


def read_split(path: Path, split: str) -> SceneSplit:
    """The scenes of ``train`` or ``test``, after every check; any failure is an ``InputFileError`` naming the file."""
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}: expected one of {', '.join(SPLITS)}")
    with opened(path, EXPECTED) as file:
        attributes = _read_attributes(file)
        if attributes[split] == 0:
            raise InputFileError(f"{path}: was made without {split} scenes, expected some")
        group = child(file, split, h5py.Group)
        sha256 = read_attribute(group, "sha256", str)
        imported = attributes["preset"] == IMPORTED
        names = ["images"] if imported else [field.name for field in fields(SceneSplit)]
        names += ["counts"] * (imported and "counts" in group)
        datasets = {name: _dataset(group, name) for name in names}
        _check_shapes(datasets, attributes, split, path.stat().st_size)
        values = {name: dataset[...] for name, dataset in datasets.items()}
        scenes = replace(SceneSplit.uncounted(values["images"]), **values) if imported else SceneSplit(**values)
        if not imported:
            _check_values(scenes, int(attributes.get("min_digits", 0)), int(attributes["max_digits"]))
        if _sha256(scenes, names) != sha256:
            raise RefusedError(f"the {split} scenes differ from their sha256")
        return scenes


def read_attributes(path: Path) -> dict[str, Attribute]:
    """What the file says of its making: generator, preset, seed, every parameter, the digits' source and sha256."""
    with opened(path, EXPECTED) as file:
        return _read_attributes(file)


def _read_attributes(file: h5py.File) -> dict[str, Attribute]:
    kinds = _ATTRIBUTES | {name: kind for name, kind in _OPTIONAL.items() if name in file.attrs}
    attributes = {name: read_attribute(file, name, kind) for name, kind in kinds.items()}
    if attributes["schema"] != SCHEMA:
        raise RefusedError(f"has schema {attributes['schema']} where this airctl reads {SCHEMA}")
    if not 0 <= attributes["max_digits"] <= 9 or not 2 <= attributes["canvas"] <= MAX_CANVAS:
        raise RefusedError(f"says max_digits {attributes['max_digits']}, canvas {attributes['canvas']}")
    if not 0 <= attributes.get("min_digits", 0) <= attributes["max_digits"]:
        raise RefusedError(f"says min_digits {attributes['min_digits']}, max_digits {attributes['max_digits']}")
    if not 0 < attributes.get("object_size", 1.0) <= attributes["canvas"]:
        raise RefusedError(f"says object_size {attributes['object_size']} on a canvas of {attributes['canvas']}")
    if min(attributes["train"], attributes["test"]) < 0 or attributes["train"] + attributes["test"] == 0:
        raise RefusedError(f"says {attributes['train']} train and {attributes['test']} test scenes")
    _check_picture(attributes)
    return attributes


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset in ordinary chunks, of the dtype of the schema; nothing is read."""
    dataset = own_dataset(group, name, (h5py.h5d.CHUNKED,))
    if dataset.dtype != np.dtype(_DTYPES[name]):
        raise RefusedError(f"{name} is {dataset.dtype} where {np.dtype(_DTYPES[name])} belongs")
    return dataset


def _check_shapes(
    datasets: dict[str, h5py.Dataset], attributes: dict[str, Attribute], split: str, on_disk: int
) -> None:
    """All shapes follow from the attributes, and the file is large enough to hold every chunk of them."""
    n, canvas = int(attributes[split]), int(attributes["canvas"])
    slots = max(1, int(attributes["max_digits"]))
    shapes = {
        "images": (n, canvas, canvas),
        "counts": (n,),
        "labels": (n, slots),
        "boxes": (n, slots, 4),
        "scales": (n, slots),
        "digit_index": (n, slots),
    }
    for name, dataset in datasets.items():
        if dataset.shape != shapes[name]:
            raise RefusedError(f"{split}/{name} is {dataset.shape} where its attributes say {shapes[name]}")
        check_chunks(dataset, f"{split}/{name}", MAX_IMAGE_BYTES, on_disk)


def _check_values(scenes: SceneSplit, min_digits: int, max_digits: int) -> None:
    """Counts, labels, boxes, scales and digits agree with one another."""
    if scenes.counts.max() > max_digits:
        raise RefusedError(f"has a count of {scenes.counts.max()} where at most {max_digits} digits were asked for")
    if scenes.counts.min() < min_digits:
        raise RefusedError(f"has a count of {scenes.counts.min()} where at least {min_digits} digits were asked for")
    there = np.arange(scenes.labels.shape[1]) < scenes.counts[:, None]
    x0, y0, x1, y1 = np.moveaxis(scenes.boxes, -1, 0)
    canvas = scenes.images.shape[1]
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1) & (x1 <= canvas) & (y1 <= canvas)
    padded = {
        "labels": np.array_equal(scenes.labels != NO_LABEL, there),
        "boxes": bool(np.where(there, inside, (scenes.boxes == -1).all(-1)).all()),
        "scales": bool(np.where(there, np.isfinite(scenes.scales) & (scenes.scales > 0), scenes.scales == 0).all()),
        "digit_index": bool(np.where(there, scenes.digit_index >= 0, scenes.digit_index == -1).all()),
    }
    wrong = [name for name, good in padded.items() if not good]
    if wrong:
        raise RefusedError(f"{' and '.join(wrong)} contradict the counts")
