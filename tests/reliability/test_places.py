"""import, export, infer and count: whatever the disk does and whenever the process dies, the same command mends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reliability.conftest import Tally, small
from reliability.faults import Fault, errors, in_fork, kill_points
from reliability.test_faults import ALL, ERRNOS, ended_as_it_should, every, folder, whole_tree
from small import crops

import airctl
from airctl import files
from airctl.commands import count as counting
from airctl.commands.train import train
from airctl.scenes.cells import cells

__all__ = ["folder"]

Act = Callable[[Path], object]


class Place:
    """A folder that a command writes into; ``before`` lies there, and afterwards what an undisturbed one writes."""

    def __init__(self, root: Path, act: Act, before: dict[str, bytes]) -> None:
        self.path, self.act, self.before = root / "place", act, before
        self.fill()
        self.act(self.path)  # children then find everything imported
        self.after = whole_tree(self.path)
        self.fill()
        whole = in_fork(lambda: self.act(self.path), self.path)
        assert whole.code == 0, whole.message
        assert whole_tree(self.path) == self.after
        self.seen = whole.seen

    def fill(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()
        for name, content in self.before.items():
            (self.path / name).write_bytes(content)

    def broken(self, name: str, fault: Fault, whole_files: bool) -> str:
        """Break it, look, do it again: then all is as if nothing had happened, and no part of a file is left."""
        self.fill()
        ended_as_it_should(name, fault, in_fork(lambda: self.act(self.path), self.path, fault))
        for path, content in whole_tree(self.path).items() if whole_files else ():
            assert path.endswith(".part") or content in (self.before.get(path), self.after.get(path)), (name, path)
        again = in_fork(lambda: self.act(self.path))
        assert again.code == 0, (name, again)
        assert whole_tree(self.path) == self.after, name
        return name

    def tried(self, stride: int, what: str, tally: Tally, whole_files: bool = True) -> None:
        """Every ``stride``-th kill and disk error."""
        killed = [self.broken(name, fault, whole_files) for name, fault in every(stride, kill_points(self.seen))]
        failed = [self.broken(name, fault, whole_files) for name, fault in every(stride, errors(self.seen, ERRNOS))]
        assert killed
        assert failed
        if stride == 1:
            tally(f"killed in {what}", killed)
            tally(f"disk errors in {what}", failed)


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run"
    train(small_data, path, small(), threads=1, device="cpu")
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two pictures of cells."""
    place = tmp_path_factory.mktemp("photos")
    for number in (0, 1):
        Image.fromarray(cells(12, 90, 110, 20, number).quantised(8)).save(place / f"{number}.png")
    return sorted(place.iterdir())


SOME = pytest.param(41, id="some")


@pytest.mark.parametrize("stride", [SOME, ALL])
def test_an_exported_model_is_the_old_or_the_new_one(run: Path, folder: Path, stride: int, tally: Tally) -> None:
    """Killed anywhere, or with any error of the disk."""

    def act(place: Path) -> None:
        airctl.export(run, place / "m.airctl", force=True)

    Place(folder, act, {"m.airctl": b"before"}).tried(stride, "export", tally)


@pytest.mark.parametrize("stride", [SOME, ALL])
def test_files_that_belong_together_are_each_the_old_or_the_new_one(folder: Path, stride: int, tally: Tally) -> None:
    """As the three files of an ONNX export."""
    names = ["m.map.onnx", "m.encoder.onnx", "m.decoder.onnx"]

    def act(place: Path) -> None:
        files.write_together({place / name: f"new {name}".encode() for name in names})

    place = Place(folder, act, dict.fromkeys(names, b"before"))
    place.tried(stride, "export of files that belong together", tally)


@pytest.mark.parametrize("stride", [SOME, ALL])
def test_imported_scenes_are_the_old_or_the_new_ones(
    photos: list[Path], folder: Path, stride: int, tally: Tally
) -> None:
    """And so is their preview."""

    def act(place: Path) -> None:
        how = {"object_size": 20.0, "channel": "grey", "invert": "no", "train": 8, "test": 2, "force": True}
        airctl.import_pictures(photos, place / "scenes.h5", preview=place / "preview.png", **how)

    Place(folder, act, {"scenes.h5": b"before", "preview.png": b"before"}).tried(stride, "import", tally)


@pytest.mark.parametrize("stride", [pytest.param(97, id="some"), ALL])
def test_shards_that_are_resumed_end_with_the_same_tables(run: Path, folder: Path, stride: int, tally: Tally) -> None:
    """infer --csv --shard 1/2 and 2/2, killed or failing anywhere and resumed: no picture twice, none lost."""
    np.save(folder / "stack.npy", np.random.default_rng(0).integers(0, 255, (6, 16, 16), np.uint8))
    loaded = airctl.load(run, device="cpu")

    def act(place: Path) -> None:
        for part in (1, 2):
            out, stack = place / f"{part}", [folder / "stack.npy"]
            list(airctl.infer(loaded, stack, out=out, formats=["csv"], resume=True, shard=(part, 2)))

    place = Place(folder, act, {})
    names = [line for part in "12" for line in place.after[f"{part}/counts.csv"].splitlines()[1:]]
    assert len(names) == 6
    assert {f"{part}/origin.json" for part in "12"} < place.after.keys()
    place.tried(stride, "infer --resume, two shards", tally, whole_files=False)


@pytest.mark.soak
def test_a_count_that_is_made_again_is_the_one_that_was_not_disturbed(
    photos: list[Path], folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Import, training and tables in one: each hundredth place to die or fail, and count --force."""
    monkeypatch.setattr(counting, "recipe", lambda seed, steps: crops("train.steps=2", "train.validation=1000"))
    monkeypatch.setattr(counting, "import_pictures", partial(airctl.import_pictures, train=1300, test=50))
    tables = ("counts.csv", "objects.csv", "origin.json")

    def act(place: Path) -> None:
        how = {"object_size": 20.0, "channel": "grey", "invert": "no"}
        list(airctl.count(photos, place / "found", force=True, threads=1, device="cpu", **how))

    def found(place: Path) -> dict[str, bytes]:
        return {name: (place / "found" / name).read_bytes() for name in tables}

    path = folder / "place"
    path.mkdir()
    act(path)
    expected = found(path)
    shutil.rmtree(path)
    path.mkdir()
    whole = in_fork(lambda: act(path), path)
    assert whole.code == 0, whole.message
    tried = {"killed": kill_points(whole.seen), "disk errors": errors(whole.seen, ERRNOS)}
    for what, faults in tried.items():
        names = []
        for name, fault in every(101, faults):
            shutil.rmtree(path)
            path.mkdir()
            ended_as_it_should(name, fault, in_fork(lambda: act(path), path, fault))
            again = in_fork(lambda: act(path))
            assert again.code == 0, (name, again)
            assert found(path) == expected, name
            names.append(name)
        tally(f"{what} in count", names)
