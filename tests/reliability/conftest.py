"""Scenes of 16 pixels and a model that trains in a blink, so that a run can be broken thousands of times."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from airctl import __version__, config
from airctl.config import Config
from airctl.reporting import table
from airctl.scenes import Glyphs, SceneSpec, compose_scenes, write_scenes
from airctl.scenes.glyphs import sha256_of_arrays
from airctl.training import RunFolder
from airctl.training import checkpoint as checkpoints

SPEC = SceneSpec(train=60, test=20, canvas=16, max_digits=2)
SMALL = (
    "model.num_steps=2",
    "model.glimpse=4",
    "model.what=2",
    "network.hidden=4",
    "network.predict_hidden=3",
    "model.glimpse_hidden=3",
    "network.embedding=raw",
    "objective.baseline_hidden=2",
    "train.batch=8",
    "train.validation=20",
    "train.validate_every=2",
    "train.checkpoint_every=2",
    "train.keep_last=1",
    "train.steps=6",
)


def small(*settings: str) -> Config:
    """The config of a run of six steps with a checkpoint at every other."""
    return config.override(config.preset("recurrent"), [*SMALL, *settings])


def small_glyphs(seed: int = 0) -> Glyphs:
    """Thirty digits of 6 x 6 noise."""
    draw = np.random.default_rng(seed)
    images, labels = draw.integers(0, 200, (30, 6, 6), np.uint8), draw.integers(0, 10, 30, np.uint8)
    parts = (images[:20], labels[:20], images[20:], labels[20:])
    return Glyphs(*parts, source="noise", sha256=sha256_of_arrays(*parts))


@pytest.fixture(scope="session")
def scene_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A scene file of 60 train and 20 test scenes."""
    path = tmp_path_factory.mktemp("small") / "scenes.h5"
    write_scenes(path, SPEC, small_glyphs(), *compose_scenes(SPEC, small_glyphs()))
    return path.read_bytes()


@pytest.fixture(scope="session")
def small_data(scene_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "scenes.h5"
    path.write_bytes(scene_bytes)
    return path


def contents(run: Path) -> dict[str, bytes]:
    """What must not depend on stops and faults: the last and the best checkpoint, the metrics and the config."""
    folder = run / "checkpoints"
    files = {}
    for which in ("last", "best"):
        path = checkpoints.resolve(folder, which)
        files |= {f"{which}/{name}": (path / name).read_bytes() for name in (*checkpoints.FILES, "manifest.json")}
    names = ("checkpoints/last", "checkpoints/best", "metrics.jsonl", "metrics.csv", "config.toml")
    return files | {name: (run / name).read_bytes() for name in names}


def metric_steps(run: Path) -> list[int]:
    return [row["step"] for row in RunFolder(run).read_metrics()]


# --- what the whole of it came to ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    """Keep for the summary what was tried and held: ``tally("bits flipped", names_or_number, seconds=1.3)``."""
    kept: dict[str, dict[str, Any]] = request.config.stash.setdefault(TALLY, {})

    def keep(claim: str, tried: int | Collection[object], **measured: float) -> None:
        kept[claim] = {"tried": tried if isinstance(tried, int) else len(tried), **measured}

    return keep


Tally = Callable[..., None]
TALLY = pytest.StashKey[dict[str, dict[str, Any]]]()


MEASURED = "## Measured"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the figures into the file that was asked for, in the place of those before; only if every test passed."""
    path, kept = session.config.getoption("--summary"), session.config.stash.get(TALLY, {})
    if path and kept and exitstatus == 0:
        before = Path(path).read_text(encoding="utf-8").partition(MEASURED)[0]
        Path(path).write_text(f"{before}{MEASURED}\n\n{measured(kept)}", encoding="utf-8")


def measured(kept: dict[str, dict[str, Any]]) -> str:
    """A table of what was tried; claims of one kind (``kind: this one``) are one line."""
    together: dict[str, dict[str, Any]] = {}
    for claim, figures in kept.items():
        line = together.setdefault(claim.partition(": ")[0], {"tried": 0})
        line |= figures | {"tried": line["tried"] + figures["tried"]}
    what = {
        "accepted": "{:.0f} accepted",
        "refused": "{:.0f} refused, the others unchanged",
        "slowest_seconds": "slowest {:.2f} s",
        "peak_megabytes": "peak {:.0f} MB",
    }
    rows = [
        [claim, str(line["tried"]), ", ".join(words.format(line[key]) for key, words in what.items() if key in line)]
        for claim, line in sorted(together.items())
    ]
    made = f"By `make soak` with airctl {__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
    made += f"{platform.system()}. Everything held in every case; with a single failure this table is not written.\n\n"
    return made + table(["tried", "times", "and"], rows) + "\n"
