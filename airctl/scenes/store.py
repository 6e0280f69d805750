"""The scene file, one HDF5 file (schema: data/README.md): what it says of its making, read as a stranger's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import h5py

from airctl._version import __version__
from airctl.config import PictureConfig
from airctl.scenes.glyphs import Glyphs
from airctl.scenes.hdf5 import RefusedError, opened, read_attribute, translated
from airctl.scenes.ink import Ink
from airctl.scenes.spec import MAX_CANVAS, SceneSpec, SceneSplit
from airctl.scenes.writing import Attribute, new_file, write_attribute, write_split

SCHEMA = 1
SPLITS = ("train", "test")
IMPORTED = "imported"  # the preset of scenes that are crops of pictures: they have images alone
EXPECTED = "scenes made by airctl generate-data or airctl import"  # told of a file that is something else

Blocks = SceneSplit | Iterable[SceneSplit]

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
    "object_size": float,  # of imported files; files composed by older versions may have glyph side / scale_mean here
    "ink_size": float,  # of composed files with objects to train on; those of older versions have none
    **{f"picture_{field.name}": {"str": str, "float": float}[str(field.type)] for field in fields(PictureConfig)},
}


# --- writing ---------------------------------------------------------------------------------------------------------


def write_scenes(
    path: Path, spec: SceneSpec, glyphs: Glyphs, train: Blocks, test: Blocks, replace: bool = True
) -> None:
    """Write both splits; the same scenes give the same bytes. A split of no scenes has no group.

    Each comes whole or as blocks of scenes, which are written as they come, training scenes first. ``ConfigError`` for
    a file that is there, unless ``replace`` allows it; ``StorageError`` for a disk that is full.
    """
    _write(path, _attributes(spec, glyphs), train, test, [field.name for field in fields(SceneSplit)], replace)


def write_imported(
    path: Path, train: Blocks, test: Blocks, told: Mapping[str, Attribute], how: PictureConfig, counted: bool = False
) -> None:
    """Write crops of pictures, of which nothing but the images and some counts is known, and how they were developed.

    ``told``: how many scenes ``train`` and ``test`` have, their ``canvas``, the ``seed``, ``object_size``, the side in
    pixels of a scene of an object with its margin, ``digits``, where the pictures come from, and ``digits_sha256``,
    that of their developed pixels. Only of scenes some of which are ``counted`` counts are written.
    """
    attributes: dict[str, Attribute] = {
        "schema": SCHEMA,
        "generator": "airctl",
        "generator_version": __version__,
        "scale_mean": 1.0,
        "scale_sd": 0.0,
        "digits": told["digits"],
        "digits_sha256": told["digits_sha256"],
        "preset": IMPORTED,
        "train": told["train"],
        "test": told["test"],
        "max_digits": 0,
        "canvas": told["canvas"],
        "seed": told["seed"],
        "object_size": told["object_size"],
        **{f"picture_{name}": value for name, value in asdict(how).items()},
    }
    _write(path, attributes, train, test, ["images", "counts"] if counted else ["images"])


def picture_of(attributes: Mapping[str, Attribute]) -> PictureConfig:
    """How pictures became the scenes of a file with these attributes; as they are where it says nothing."""
    told = {field.name: attributes.get(f"picture_{field.name}") for field in fields(PictureConfig)}
    return PictureConfig() if None in told.values() else PictureConfig(**told)  # type: ignore[arg-type]


def _write(
    path: Path, attributes: Mapping[str, Attribute], train: Blocks, test: Blocks, names: Sequence[str],
    replace: bool = True,
) -> None:  # fmt: skip
    with new_file(path, replace) as (file, disk):
        for name, value in attributes.items():
            write_attribute(file, name, value)
        for name, scenes in zip(SPLITS, (train, test), strict=True):
            if number := int(attributes[name]):
                ink, blocks = Ink(), scenes.blocks() if isinstance(scenes, SceneSplit) else scenes
                write_split(file.create_group(name), disk, number, ink.of_all(blocks), names, path.parent)
                if name == "train" and ink.size is not None:  # known once all are composed
                    write_attribute(file, "ink_size", ink.size)


def _attributes(spec: SceneSpec, glyphs: Glyphs) -> dict[str, Attribute]:
    """In a fixed order, which decides the bytes of the file; what is not in every file comes last."""
    told = asdict(spec)
    least = told.pop("min_digits")
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
    }


# --- reading ---------------------------------------------------------------------------------------------------------


def read_attributes(path: Path) -> dict[str, Attribute]:
    """What the file says of its making: generator, preset, seed, every parameter, the digits' source and sha256."""
    with opened(path, EXPECTED) as file, translated(path, EXPECTED):
        return attributes_of(file)


def attributes_of(file: h5py.File) -> dict[str, Attribute]:
    """Those of an open file, after every check; ``RefusedError``."""
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
    if not 0 < attributes.get("ink_size", 1.0) <= attributes["canvas"]:
        raise RefusedError(f"says ink_size {attributes['ink_size']} on a canvas of {attributes['canvas']}")
    if min(attributes["train"], attributes["test"]) < 0 or attributes["train"] + attributes["test"] == 0:
        raise RefusedError(f"says {attributes['train']} train and {attributes['test']} test scenes")
    _check_picture(attributes)
    return attributes


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
