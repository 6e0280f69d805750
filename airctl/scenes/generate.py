"""What ``airctl generate-data`` does: digits, scenes, one file, and a summary of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from airctl.errors import ConfigError
from airctl.files import sha256_of
from airctl.scenes.compose import compose_scenes
from airctl.scenes.fetch import Say
from airctl.scenes.glyphs import load_glyphs
from airctl.scenes.ink import told_size
from airctl.scenes.spec import SceneSpec, SceneSplit
from airctl.scenes.store import read_attributes, write_scenes


def say_on_stderr(message: str) -> None:
    """Messages go to stderr: stdout belongs to results."""
    print(message, file=sys.stderr)


def generate_data(
    out: Path,
    spec: SceneSpec,
    digits: str = "mnist",
    mnist_dir: Path = Path("data/mnist"),
    force: bool = False,
    say: Say = say_on_stderr,
    progress_bar: bool = False,
) -> dict[str, Any]:
    """Make the scenes of ``spec`` and write them to ``out``; what was there is replaced only by a complete new file.

    Returns {path, sha256, digits: {source, sha256}, preset, seed, object_size, train: {scenes, counts}, test: ...};
    ``counts`` is the number of scenes with 0, 1, ... digits. Raises ``ConfigError`` if ``out`` exists and ``force`` is
    not given.
    """
    check_output(out, force)
    glyphs = load_glyphs(digits, mnist_dir, spec.seed or 0, say)
    say(f"digits: {glyphs.source}, {len(glyphs.train_images)} to train, {len(glyphs.test_images)} to test")
    with tqdm(total=spec.train + spec.test, unit="scene", disable=not progress_bar, file=sys.stderr) as bar:
        train, test = compose_scenes(spec, glyphs, bar.update)
    write_scenes(out, spec, glyphs, train, test, replace=force)
    return {
        "path": str(out),
        "sha256": sha256_of(out),
        "digits": {"source": glyphs.source, "sha256": glyphs.sha256},
        "preset": spec.preset,
        "seed": spec.seed,
        "object_size": told_size(read_attributes(out)),
        "train": _summary(train, spec),
        "test": _summary(test, spec),
    }


def check_output(out: Path, force: bool) -> None:
    """Refuse before any work what could not be written in the end; ``ConfigError``."""
    try:
        if out.is_dir():
            raise ConfigError(f"{out} is a folder: give the name of a file to write, such as {out / 'scenes.h5'}")
        if out.exists() and not force:
            raise ConfigError(f"{out} exists: say force=True to replace it, or choose another name", "force")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(out)!r} cannot be the name of a file ({error}): choose another name") from error
    if "\0" in str(out):
        raise ConfigError(f"{str(out)!r} cannot be the name of a file (it holds a zero byte): choose another name")


def _summary(split: SceneSplit, spec: SceneSpec) -> dict[str, Any]:
    counts = np.bincount(split.counts, minlength=spec.max_digits + 1)
    return {"scenes": len(split.counts), "counts": counts.tolist()}
