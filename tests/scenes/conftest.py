"""Small digits and small scene files, made in memory: no download, no folder outside the test's own."""

from pathlib import Path

import numpy as np
import pytest

from airctl.scenes import Glyphs, SceneSpec, compose_scenes, write_scenes
from airctl.scenes.font import draw_digits
from airctl.scenes.glyphs import sha256_of_arrays


def make_glyphs(images: np.ndarray, labels: np.ndarray, test: int) -> Glyphs:
    """Glyphs of which the last ``test`` are test digits."""
    cut = len(images) - test
    parts = (images[:cut], labels[:cut], images[cut:], labels[cut:])
    return Glyphs(*parts, source="made for a test", sha256=sha256_of_arrays(*parts))


@pytest.fixture(scope="session")
def glyphs() -> Glyphs:
    """80 training and 40 test digits of the font."""
    return make_glyphs(*draw_digits(120, seed=3), test=40)


@pytest.fixture(scope="session")
def small_spec() -> SceneSpec:
    return SceneSpec(train=20, test=6, max_digits=2, canvas=50)


@pytest.fixture
def scene_file(tmp_path: Path, glyphs: Glyphs, small_spec: SceneSpec) -> Path:
    """A valid scene file that a test may damage."""
    path = tmp_path / "scenes.h5"
    write_scenes(path, small_spec, glyphs, *compose_scenes(small_spec, glyphs))
    return path
