"""What ``airctl generate-data`` does: digits, scenes, one file, and a summary of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from airctl.errors import ConfigError
from airctl.files import sha256_of
from airctl.scenes.compose import compose_blocks
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
    counts = [np.zeros(spec.max_digits + 1, np.int64) for _ in range(2)]
    with tqdm(total=spec.train + spec.test, unit="scene", disable=not progress_bar, file=sys.stderr) as bar:
        train, test = (
            _counted(blocks, n) for blocks, n in zip(compose_blocks(spec, glyphs, bar.update), counts, strict=True)
        )
        write_scenes(out, spec, glyphs, train, test, replace=force)
    return {
        "path": str(out),
        "sha256": sha256_of(out),
        "digits": {"source": glyphs.source, "sha256": glyphs.sha256},
        "preset": spec.preset,
        "seed": spec.seed,
        "object_size": told_size(read_attributes(out)),
        "train": {"scenes": spec.train, "counts": counts[0].tolist()},
        "test": {"scenes": spec.test, "counts": counts[1].tolist()},
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


def _counted(blocks: Iterator[SceneSplit], counts: np.ndarray) -> Iterator[SceneSplit]:
    """``blocks`` as they are; how many of their scenes have 0, 1, ... digits is added to ``counts``."""
    for block in blocks:
        counts += np.bincount(block.counts, minlength=len(counts))
        yield block
