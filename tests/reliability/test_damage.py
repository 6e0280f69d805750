"""Cut at any byte or with any bit flipped, a file is refused, or what is loaded is what was saved."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from reliability.conftest import Tally, small
from reliability.faults import in_fork

from airctl.commands.train import fit_to_data, train
from airctl.errors import InputFileError
from airctl.scenes import read_attributes, read_split
from airctl.training import Learner, RunFolder, checkpoint

SAVED = (*checkpoint.FILES, "manifest.json")


@pytest.fixture(scope="module")
def saved(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two steps."""
    run = tmp_path_factory.mktemp("saved") / "run"
    train(small_data, run, small("train.steps=2"), threads=1, device="cpu")
    return run / "checkpoints" / "step_00000002"


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / saved.name))


class Loaded:
    """What a checkpoint gives: every tensor of model and optimiser and the state, to be compared."""

    def __init__(self) -> None:
        self.learner = Learner.build(fit_to_data(small(), (1, 16, 16)), torch.device("cpu"))

    def __call__(self, path: Path) -> dict[str, object]:
        optimizer = self.learner.optimizers
        state = checkpoint.load(path, self.learner.modules, optimizer)
        tensors = [*self.learner.modules.state_dict().values()]
        tensors += [value for one in optimizer for entry in one.state.values() for value in entry.values()]
        return {"state": state, "tensors": b"".join(tensor.numpy().tobytes() for tensor in tensors)}


def scenes_of(path: Path) -> dict[str, object]:
    """What a scene file gives."""
    splits = [read_split(path, split) for split in ("train", "test")]
    arrays = [getattr(split, field.name) for split in splits for field in fields(split)]
    return {"attributes": read_attributes(path), "arrays": b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)}


def refused(read: Callable[[Path], object], path: Path, whole: object) -> bool:
    """Whether it is refused; if not, it is what it was."""
    try:
        loaded = read(path)
    except InputFileError:
        return True
    assert loaded == whole
    return False


def cut(path: Path, read: Callable[[], bool], stride: int) -> tuple[int, int]:
    """Cut ``path`` to every length but its own: how many lengths there are, and how many were refused."""
    content = path.read_bytes()
    lengths = range(len(content) - 1, -1, -stride)
    held = 0
    for length in lengths:
        with open(path, "r+b") as stream:
            stream.truncate(length)
        held += read()
    path.write_bytes(content)
    return len(lengths), held


@pytest.mark.parametrize("stride", [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.soak)])
def test_a_checkpoint_cut_at_any_byte_is_refused(copy: Path, stride: int, tally: Tally) -> None:
    """Each of its four files, at every length: none is loaded, as none is whole but the manifest's last line end."""
    load, total = Loaded(), 0
    whole = load(copy)
    for name in SAVED:
        tried, held = cut(copy / name, lambda: refused(load, copy, whole), stride)
        assert tried - held <= (name == "manifest.json")  # without its last line end it says the same
        total += tried
    assert load(copy) == whole  # the control: put together again it loads
    if stride == 1:
        tally("a checkpoint's files cut at every byte", total)


@pytest.mark.parametrize("stride", [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.soak)])
def test_a_dataset_cut_at_any_byte_is_refused(scene_bytes: bytes, tmp_path: Path, stride: int, tally: Tally) -> None:
    """At every length."""
    path = tmp_path / "scenes.h5"
    path.write_bytes(scene_bytes)
    whole = scenes_of(path)
    tried, held = cut(path, lambda: refused(scenes_of, path, whole), stride)
    assert held == tried
    if stride == 1:
        tally("a dataset cut at every byte", tried)


def flipped(path: Path, content: bytes, read: Callable[[], bool], draw: random.Random, times: int) -> int:
    """Flip one random bit of ``path`` at a time; how often it was refused."""
    held = 0
    for _ in range(times):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        held += read()
    path.write_bytes(content)
    return held


@pytest.mark.parametrize(
    "times", [pytest.param(200, id="some"), pytest.param(10_000, id="all", marks=pytest.mark.soak)]
)
def test_no_flipped_bit_of_a_checkpoint_is_loaded_in_silence(copy: Path, times: int, tally: Tally) -> None:
    """Random bits of all its files: refused, or (in the white space of the manifest) loaded as it was."""
    load, draw, held = Loaded(), random.Random(0), 0
    whole = load(copy)
    sizes = [(copy / name).stat().st_size for name in SAVED]
    for name, share in zip(
        SAVED, np.random.default_rng(0).multinomial(times, np.sqrt(sizes) / np.sqrt(sizes).sum()), strict=True
    ):
        path = copy / name
        found = flipped(path, path.read_bytes(), lambda: refused(load, copy, whole), draw, int(share))
        assert found == share or name == "manifest.json"
        held += found
    assert held > 0.9 * times
    if times == 10_000:
        tally("random bits of a checkpoint flipped", times, refused=held)


@pytest.mark.parametrize(
    "times", [pytest.param(200, id="some"), pytest.param(10_000, id="all", marks=pytest.mark.soak)]
)
def test_no_flipped_bit_of_a_dataset_is_loaded_in_silence(
    scene_bytes: bytes, tmp_path: Path, times: int, tally: Tally
) -> None:
    """Random bits anywhere in the file: refused, or (in what HDF5 leaves unused) loaded as it was."""
    path = tmp_path / "scenes.h5"
    path.write_bytes(scene_bytes)
    whole = scenes_of(path)
    draw = random.Random(0)
    outcome = in_fork(lambda: flipped(path, scene_bytes, lambda: refused(scenes_of, path, whole), draw, times))
    assert outcome.code == 0, outcome.message  # in a child: damaged bytes have brought HDF5 libraries down
    assert times / 4 < outcome.value < times
    if times == 10_000:
        tally("random bits of a dataset flipped", times, refused=outcome.value)


@pytest.mark.parametrize("damage", ["not JSON\n", "[1]\n", '{"step": "2"}\n', '{"elbo": 1.0}\n', '{"step": 3, "el'])
def test_metrics_end_where_they_are_damaged(damage: str, tmp_path: Path) -> None:
    """What comes before a line that no run has written is read, and nothing after it."""
    run = RunFolder(tmp_path)
    run.metrics.write_text('{"step": 1}\n' + damage + '{"step": 4}\n')
    assert run.read_metrics() == [{"step": 1}]


def test_a_run_that_names_no_data_is_refused(tmp_path: Path) -> None:
    """data.json without a path."""
    (tmp_path / "data.json").write_text('{"sha256": "0"}')
    with pytest.raises(InputFileError, match="does not name the data of the run"):
        RunFolder(tmp_path).data()
