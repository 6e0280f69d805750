"""Whatever the disk does and whenever the process dies: the run loads, goes on, and ends with the same bytes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from reliability.conftest import SPEC, Tally, contents, metric_steps, small, small_glyphs
from reliability.faults import Fault, Outcome, errors, in_fork, kill_points

import airctl
from airctl import files
from airctl.commands import evaluate, variance
from airctl.commands import report as reports
from airctl.commands.train import train
from airctl.reporting import figures
from airctl.scenes import generate
from airctl.training import checkpoint as checkpoints

ERRNOS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]
ALL = pytest.param(1, id="all", marks=pytest.mark.soak)


def every(stride: int, faults: Iterator[tuple[str, Fault]]) -> Iterator[tuple[str, Fault]]:
    """Each ``stride``-th of them, and always the last."""
    listed = list(faults)
    return itertools.chain(listed[:-1:stride], listed[-1:])


def ended_as_it_should(name: str, fault: Fault, outcome: Outcome) -> None:
    """Killed; or done although something failed; or one sentence and exit code 6."""
    if fault.errno is None:
        assert outcome.code == -9, (name, outcome)
    else:
        assert outcome.code in (0, 6), (name, outcome)
        assert outcome.code == 0 or "could not write" in outcome.message, (name, outcome)
        assert "\n" not in outcome.message


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of runs need not wait for a real disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made).resolve()


# --- training: checkpoints, pointers, metrics, the folder itself -----------------------------------------------------


class Training:
    """A run of six steps that is broken at one place, looked at, and started again with the same command."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.run = data, folder / "place" / "run"
        self.train()  # children then find everything imported
        shutil.rmtree(self.run.parent)
        self.run.parent.mkdir()
        whole = in_fork(self.train, self.run.parent)
        assert whole.code == 0, whole.message
        self.seen, self.expected = whole.seen, contents(self.run)
        written = {name.partition(" ")[2].replace(".part", "") for name in whole.seen}
        assert {str(p.relative_to(self.run.parent)) for p in self.run.rglob("*") if p.is_file()} - written == set()
        self.clear()

    def train(self) -> None:
        train(self.data, self.run, small(), resume=True, threads=1, device="cpu")

    def clear(self) -> None:
        shutil.rmtree(self.run.parent)
        shutil.rmtree(self.run.parent.with_name("place.grave"))

    def safe_step(self, at: int) -> int | None:
        """The step that ``last`` safely names before operation ``at``: its name and all below it are on the disk."""
        before = self.seen[:at]
        pointed = [i for i, name in enumerate(before) if name == "rename run/checkpoints/last"]
        safe = [i for i in pointed if "fsync run/checkpoints" in before[i:]]
        return 2 * (len(safe) - 1) if safe else None

    def broken(self, name: str, fault: Fault) -> str:
        """Break it, look, go on, compare; gives back the name."""
        self.run.parent.mkdir()
        ended_as_it_should(name, fault, in_fork(self.train, self.run.parent, fault))
        safe = self.safe_step(fault.at)
        if safe is not None:
            assert airctl.load(self.run, device="cpu").step >= safe, name
            assert metric_steps(self.run) == sorted(set(metric_steps(self.run))), name
        again = in_fork(self.train)
        assert again.code == 0, (name, again)
        assert metric_steps(self.run) == [2, 4, 6], name
        assert contents(self.run) == self.expected, name
        assert not list(self.run.rglob("*.part")), name
        self.clear()
        return name


@pytest.fixture
def training(small_data: Path, folder: Path) -> Training:
    return Training(small_data, folder)


@pytest.mark.parametrize("stride", [pytest.param(113, id="some"), ALL])
def test_a_training_killed_anywhere_ends_with_the_same_bytes(training: Training, stride: int, tally: Tally) -> None:
    """Before every operation and inside every write, with and without a loss of power."""
    tried = [training.broken(name, fault) for name, fault in every(stride, kill_points(training.seen))]
    if stride == 1:
        of_checkpoints = {name for name in tried if "/step_" in name}
        of_pointers = {name for name in tried if "/best" in name or "/last" in name}
        assert min(len(of_checkpoints), len(of_pointers)) >= 24
        tally("killed while writing or deleting a checkpoint", of_checkpoints)
        tally("killed while writing the best or the last pointer", of_pointers)
        tally("killed anywhere else in a training", set(tried) - of_checkpoints - of_pointers)


@pytest.mark.parametrize("stride", [pytest.param(211, id="some"), ALL])
def test_a_disk_that_fails_anywhere_in_a_training_costs_nothing(training: Training, stride: int, tally: Tally) -> None:
    """Every open, write, fsync, rename and delete, once and for good, with each of the four errors."""
    tried = [training.broken(name, fault) for name, fault in every(stride, errors(training.seen, ERRNOS))]
    if stride == 1:
        tally("disk errors anywhere in a training", tried)


# --- data files ------------------------------------------------------------------------------------------------------


class Generating:
    """A scene file that is being replaced by another."""

    def __init__(self, folder: Path, before: bytes) -> None:
        self.out, self.before = folder / "place" / "scenes.h5", before
        self.fill()
        whole = in_fork(self.generate, self.out.parent)
        assert whole.code == 0, whole.message
        self.seen, self.after = whole.seen, self.out.read_bytes()
        assert self.after != before

    def fill(self) -> None:
        shutil.rmtree(self.out.parent, ignore_errors=True)
        self.out.parent.mkdir()
        if self.before:
            self.out.write_bytes(self.before)

    def generate(self) -> None:
        generate.load_glyphs = lambda *arguments: small_glyphs()
        generate.generate_data(self.out, replace(SPEC, seed=1), force=True, say=lambda message: None)

    def broken(self, name: str, fault: Fault) -> str:
        """Break it: the old file is there, or the new one; made again, it is the new one and nothing else is left."""
        self.fill()
        ended_as_it_should(name, fault, in_fork(self.generate, self.out.parent, fault))
        found = self.out.read_bytes() if self.out.exists() else b""
        assert found in (self.before, self.after), name
        again = in_fork(self.generate)
        assert again.code == 0, (name, again)
        assert self.out.read_bytes() == self.after, name
        assert [p.name for p in self.out.parent.iterdir()] == [self.out.name], name
        return name


@pytest.mark.parametrize("stride", [pytest.param(37, id="some"), ALL])
@pytest.mark.parametrize("there", [True, False], ids=["replaced", "new"])
def test_a_scene_file_is_the_old_or_the_new_one(
    folder: Path, scene_bytes: bytes, there: bool, stride: int, tally: Tally
) -> None:
    """Killed anywhere, or with any error of the disk."""
    place = Generating(folder, scene_bytes if there else b"")
    what = "a dataset that is replaced" if there else "a new dataset"
    killed = [place.broken(name, fault) for name, fault in every(stride, kill_points(place.seen))]
    failed = [place.broken(name, fault) for name, fault in every(stride, errors(place.seen, ERRNOS))]
    if stride == 1:
        assert len(set(killed)) >= 24
        tally(f"killed while writing {what}", killed)
        tally(f"disk errors while writing {what}", failed)


# --- reports ---------------------------------------------------------------------------------------------------------


# What takes long and writes nothing; its results are kept, so that children only do the writing.
SLOW = [
    *((evaluate, name) for name in ("find", "evaluate_counts", "evaluate_boxes", "outcomes", "make_gallery")),
    (variance, "_measure"),
    (reports, "report_page"),
    (variance, "variance_charts"),
    (figures, "gallery_figures"),
]


def whole_tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class Reporting:
    """A finished run whose evaluation, variance report, pictures and page are being replaced by another seed's."""

    def __init__(self, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.original, self.run = folder / "run", folder / "place" / "run"
        train(data, self.original, small(), threads=1, device="cpu")
        self.report(self.original, 0)
        self.fill()
        self.results: list[object] = []
        with monkeypatch.context() as patched:
            for module, name in SLOW:
                patched.setattr(module, name, self.kept(getattr(module, name)))
            self.report(self.run, 1)
        self.old, self.new = whole_tree(self.original), whole_tree(self.run)
        changed = {name for name in self.new if self.new[name] != self.old.get(name)}
        assert {"eval-test.json", "variance.json", "report.html"} <= changed
        self.fill()
        outcome = in_fork(self.again, self.run.parent)
        assert outcome.code == 0, outcome.message
        assert whole_tree(self.run) == self.new
        self.seen = outcome.seen

    def fill(self) -> None:
        shutil.rmtree(self.run.parent, ignore_errors=True)
        shutil.copytree(self.original, self.run)

    def report(self, run: Path, seed: int) -> None:
        os.chdir(run)  # the name of the run is in the report
        airctl.evaluate(".", min_accuracy=float(seed), device="cpu")
        airctl.measure_variance(".", samples=4, estimators=("exact",), batch=8, seed=seed, device="cpu")
        airctl.draw_run(run)
        reports.report(".", device="cpu")

    def kept(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            self.results.append(function(*arguments, **options))
            return self.results[-1]

        return call

    def again(self) -> None:
        """The same report once more, from the results that were kept; in a child."""
        results = iter(self.results)
        for module, name in SLOW:
            setattr(module, name, lambda *arguments, **options: next(results))
        self.report(self.run, 1)

    def broken(self, name: str, fault: Fault) -> str:
        """Break it: every file is the old or the new one, the run loads, and made again the report is the new one."""
        self.fill()
        ended_as_it_should(name, fault, in_fork(self.again, self.run.parent, fault))
        for path, content in whole_tree(self.run).items():
            assert path.endswith(".part") or content in (self.old.get(path), self.new.get(path)), (name, path)
        again = in_fork(self.again)
        assert again.code == 0, (name, again)
        assert whole_tree(self.run) == self.new, name
        return name


@pytest.mark.parametrize("stride", [pytest.param(331, id="some"), ALL])
def test_a_report_is_the_old_or_the_new_one(
    small_data: Path, folder: Path, stride: int, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed anywhere, or with any error of the disk, eval, variance-report, preview and report leave whole files."""
    monkeypatch.chdir(folder)
    place = Reporting(small_data, folder, monkeypatch)
    killed = [place.broken(name, fault) for name, fault in every(stride, kill_points(place.seen))]
    failed = [place.broken(name, fault) for name, fault in every(stride, errors(place.seen, ERRNOS))]
    if stride == 1:
        assert len(set(killed)) >= 24
        tally("killed while writing a report", killed)
        tally("disk errors while writing a report", failed)


# --- controls: a careless writer is caught ---------------------------------------------------------------------------


def in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def without_fsync(path: Path, content: bytes) -> None:
    part = path.with_name("part")
    part.write_bytes(content)
    os.replace(part, path)


def deleted_first(path: Path, content: bytes) -> None:
    path.unlink()
    files.write_bytes(path, content)


@pytest.mark.parametrize("write", [in_place, without_fsync, deleted_first])
def test_a_careless_writer_is_caught(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    """Negative control: for each of three wrong ways some kill point leaves neither old nor new; for ours none does."""
    path = tmp_path / "place" / "file"
    path.parent.mkdir()

    def left(writer: Callable[[Path, bytes], None]) -> set[bytes | None]:
        path.write_bytes(b"the old")
        seen = in_fork(lambda: writer(path, b"another"), path.parent).seen
        found: set[bytes | None] = set()
        for _, fault in kill_points(seen):
            path.write_bytes(b"the old")
            in_fork(lambda: writer(path, b"another"), path.parent, fault)
            found.add(path.read_bytes() if path.exists() else None)
        return found

    assert left(files.write_bytes) == {b"the old", b"another"}
    assert not left(write) <= {b"the old", b"another"}


# --- a checkpoint of a step that is there already --------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False])
def test_a_checkpoint_that_is_there_is_not_touched_before_the_new_one_is_safe(
    small_data: Path, folder: Path, same: bool
) -> None:
    """Saved again and killed anywhere: one of the two is there whole, under its own name or set aside, never none."""
    original, place = folder / "run", folder / "place"
    train(small_data, original, small(), threads=1, device="cpu")
    loaded = airctl.load(original, device="cpu").learner
    kept = original / "checkpoints/step_00000006"
    checkpoints.load(kept, loaded.modules, loaded.optimizers)
    state = json.loads((kept / "state.json").read_text())
    step = state.pop("step")
    if not same:
        state["retries"] = 1

    def fill() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(kept, place / kept.name)

    def save() -> None:
        checkpoints.save(place, step, loaded.modules, loaded.optimizers, state)

    fill()
    seen = in_fork(save, place).seen
    for name, fault in every(7, kill_points(seen)):
        fill()
        assert in_fork(save, place, fault).code == -9
        whole = [p for p in place.iterdir() if not p.name.endswith(".part") and checkpoints.is_whole(p)]
        assert whole, name
        save()
        assert checkpoints.is_whole(place / kept.name)
        assert json.loads((place / kept.name / "state.json").read_text())["retries"] == (0 if same else 1)
        assert len(list(place.glob("replaced_*"))) == (0 if same else 1), name
