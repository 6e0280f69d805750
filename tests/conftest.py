"""What every test shares: one thread, the same examples in every run, and a model small enough to enumerate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from small import crops, run_command, tiny

from airctl.commands.import_pictures import import_pictures
from airctl.commands.train import train as train_run
from airctl.config import Config, override
from airctl.scenes import SceneSpec, generate_data
from airctl.scenes.cells import cells

torch.set_num_threads(1)
# A shared machine is slow at times: no example has a deadline. Derandomised, so that a failure is there again.
settings.register_profile("airctl", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airctl")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--summary`` is for tests/reliability."""
    parser.addoption("--summary", help="write what was tried and what held into this Markdown file")


TINY = (
    "model.canvas=12",
    "model.num_steps=3",
    "model.glimpse=6",
    "model.what=4",
    "network.hidden=8",
    "network.predict_hidden=7",
    "model.glimpse_hidden=9",
    "network.present_bias=0.3",  # every count gets a fair share of q(n)
    "objective.baseline_hidden=5",
)


@pytest.fixture
def tiny_config() -> Callable[..., Config]:
    """tiny_config("network.embedding=raw", ...): the small config with these settings on top."""
    return lambda *settings: override(Config(), (*TINY, *settings))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 train and 40 test scenes of font digits."""
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    generate_data(path, SceneSpec(train=120, test=40), digits="font", say=lambda message: None)
    return path


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps with the neural baseline; tests must not write to it."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    train_run(data, run, tiny("objective.estimator=score-function-neural"), threads=1)
    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures of cells, PNGs."""
    folder = tmp_path_factory.mktemp("photos")
    for number, cells_in_it in enumerate((12, 20, 16)):
        pixels = cells(cells_in_it, 130, 160, 20, number).quantised(8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def imported(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 train and 300 test scenes cut out of ``photos``."""
    path = tmp_path_factory.mktemp("imported") / "scenes.h5"
    import_pictures([photos], path, train=500, test=300)
    return path


@pytest.fixture(scope="session")
def learnt(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps on ``imported``; tests must not write to it."""
    run = tmp_path_factory.mktemp("runs") / "learnt"
    train_run(imported, run, crops(), threads=1)
    return run


@pytest.fixture
def airctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """airctl("train", path, ...): exit code, stdout and stderr of that command line."""
    return lambda *arguments: run_command([str(a) for a in arguments], monkeypatch, capsys)
