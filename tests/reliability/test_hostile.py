"""What a stranger may hand over: nothing in it is executed, and nothing outside of it is written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import pickletools
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from reliability.conftest import Tally, small
from reliability.faults import bound_memory, in_fork
from scenes.test_hdf5 import HOSTILE
from scenes.test_store import CONTRADICTIONS

import airctl
from airctl import config
from airctl.commands.train import train
from airctl.errors import AirctlError, ConfigError, InputFileError
from airctl.files import write_text
from airctl.scenes import read_idx, read_scenes, read_split
from airctl.training import RunFolder, checkpoint

LAST = "step_00000006"


@pytest.fixture(scope="module")
def trained(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    train(small_data, run, small("train.keep_last=2"), threads=1, device="cpu")
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run that a stranger may have changed; beside it lies a folder that is none of its business."""
    outside = tmp_path / "outside"
    shutil.copytree(trained / "checkpoints" / LAST, outside / LAST)
    (outside / "victim").write_text("precious")
    return Path(shutil.copytree(trained, tmp_path / "run"))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every name below ``folder`` and what is in it."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def vouch(path: Path) -> None:
    """A manifest that fits the files as they are."""
    files = {}
    for name in checkpoint.FILES:
        content = (path / name).read_bytes()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_text(json.dumps({"files": files}))


# --- pickles ---------------------------------------------------------------------------------------------------------


@dataclass
class Trap:
    """An object that touches a file when it is unpickled."""

    mark: str

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.mark,)


def torch_file(zipped: bool) -> Callable[[str], bytes]:
    def made(mark: str) -> bytes:
        stream = io.BytesIO()
        torch.save({"model": Trap(mark)}, stream, _use_new_zipfile_serialization=zipped)
        return stream.getvalue()

    return made


def zipped(mark: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Trap(mark)))
    return stream.getvalue()


def objects(mark: str) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Trap(mark)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def object_archive(mark: str) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, images=np.array([Trap(mark)], dtype=object))
    return stream.getvalue()


def polyglot(mark: str) -> bytes:
    """Begins as safetensors do: the length of a header."""
    content = pickle.dumps(Trap(mark))
    return struct.pack("<Q", len(content)) + content


def in_metadata(mark: str) -> bytes:
    """A valid safetensors file of no tensors with a pickle as metadata."""
    words = json.dumps({"__metadata__": {"pickle": pickle.dumps(Trap(mark), 0).decode("latin1")}}).encode()
    return struct.pack("<Q", len(words)) + words


def unzip(content: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return pickle.loads(archive.read("archive/data.pkl"))


def unsafe_torch(content: bytes) -> object:
    return torch.load(io.BytesIO(content), weights_only=False)


def unsafe_numpy(content: bytes) -> object:
    loaded = np.load(io.BytesIO(content), allow_pickle=True)
    return loaded["images"] if hasattr(loaded, "files") else loaded


# How each is made, and the careless loader that it is made for.
PICKLES: dict[str, tuple[Callable[[str], bytes], Callable[[bytes], object]]] = {
    **{f"protocol {n}": (lambda mark, n=n: pickle.dumps(Trap(mark), n), pickle.loads) for n in range(6)},
    "optimised": (lambda mark: pickletools.optimize(pickle.dumps(Trap(mark))), pickle.loads),
    "by hand": (lambda mark: f"cos\nmkdir\n(S'{mark}'\ntR.".encode(), pickle.loads),
    "gzip": (lambda mark: gzip.compress(pickle.dumps(Trap(mark))), lambda b: pickle.loads(gzip.decompress(b))),
    "torch, zip": (torch_file(True), unsafe_torch),
    "torch, legacy": (torch_file(False), unsafe_torch),
    "a zip": (zipped, unzip),
    ".npy of objects": (objects, unsafe_numpy),
    ".npz of objects": (object_archive, unsafe_numpy),
    "behind a length": (polyglot, lambda b: pickle.loads(b[8:])),
    "in metadata": (in_metadata, lambda b: pickle.loads(json.loads(b[8:])["__metadata__"]["pickle"].encode("latin1"))),
}
PLACES = (
    *(f"checkpoints/{LAST}/{name}" for name in (*checkpoint.FILES, "manifest.json")),
    f"checkpoints/{LAST}",
    "checkpoints",
    "config.toml",
)
BESIDE = (f"checkpoints/{LAST}/model.pt", f"checkpoints/{LAST}/pytorch_model.bin", "checkpoints/last", "checkpoint.pt")


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_in_any_place_is_refused_and_not_run(
    kind: str, run: Path, small_data: Path, tmp_path: Path, tally: Tally
) -> None:
    """In the place of each file or folder of a run it is refused; beside them it is not looked at; never is it run."""
    make, careless = PICKLES[kind]
    mark = tmp_path / "mark"
    content = make(str(mark))

    def both(copy: Path) -> None:
        """As eval reads it, and as training does, which wants the optimiser too."""
        airctl.load(copy, "6", device="cpu")
        train(small_data, copy, small("train.keep_last=2", "train.steps=8"), resume=True, threads=1, device="cpu")

    tally(f"malicious pickles: {kind}", len(PLACES) + len(BESIDE))
    for place in (*PLACES, *BESIDE):
        copy = Path(shutil.copytree(run, tmp_path / "copy"))
        path = copy / place
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(content)
        if place.endswith(checkpoint.FILES):
            vouch(copy / "checkpoints" / LAST)
        if place in BESIDE:
            assert airctl.load(copy, device="cpu").step == 6
        else:
            with pytest.raises((InputFileError, ConfigError)) as refused:
                both(copy)
            assert "\n" not in str(refused.value)
        assert not mark.exists(), place
        shutil.rmtree(copy)
    careless(content)  # the control: whoever unpickles it runs it
    assert mark.exists()


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_for_digits_scenes_pictures_or_config_is_refused(kind: str, tmp_path: Path) -> None:
    """Wherever a file of a person's own is read."""
    mark, path = tmp_path / "mark", tmp_path / "digits.npz"
    path.write_bytes(PICKLES[kind][0](str(mark)))
    shutil.copy(path, tmp_path / "stack.npy")
    for read in (
        lambda: read_idx(path),
        lambda: read_split(path, "train"),
        lambda: config.load(path),
        lambda: list(read_scenes([path])),
        lambda: list(read_scenes([tmp_path / "stack.npy"])),
        lambda: airctl.generate(tmp_path / "o.h5", airctl.SceneSpec(train=2, test=0), str(path), say=lambda m: None),
    ):
        with pytest.raises(InputFileError):
            read()
    assert not mark.exists()


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = (
    "..", "../..", "../../outside", "../../outside/step_00000006", "../outside/step_00000006", "/", "/etc/passwd",
    "/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/environ", "~", "~/.ssh/id_rsa", "$HOME", "$(touch mark)",
    "`touch mark`", "; touch mark", "| touch mark", "&& touch mark", "-rf", "--help", "file:///etc/passwd",
    "https://127.0.0.1/step_00000006", "\\\\host\\share", "C:\\Windows", "CON", "step_00000006/../step_00000004",
    "step_00000006/", "./step_00000006", "step_00000006\n../../outside", "step_00000006\0",
    "step_\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0666", "step_-0000006", "step_6", "step_0x000006",
    "step_99999999999999999999", "STEP_00000006", "step_00000006 step_00000004", "\x1b[2Jstep_00000006",
    "\u202estep_00000006", "\ufeffstep_00000006", "%s%s%s%n", "{0.__class__}", "*", "step_*", "x" * 5000, "",
)  # fmt: skip


def test_there_are_enough_of_each() -> None:
    """At least 12 pickles, 16 hostile HDF5 files and 30 hostile names."""
    assert len(PICKLES) >= 12
    assert len({**HOSTILE, **CONTRADICTIONS}) >= 16
    assert len(NAMES) >= 30


def test_a_hostile_name_leads_nowhere(run: Path, tmp_path: Path, tally: Tally) -> None:
    """As a pointer, a --checkpoint, a file of a manifest or the data of a run: refused, nothing made or changed."""
    before = tree(tmp_path)
    pointer, manifest, data = run / "checkpoints/best", run / f"checkpoints/{LAST}/manifest.json", run / "data.json"
    originals = {path: path.read_bytes() for path in (pointer, manifest, data)}

    def refused(act: Callable[[], object], kind: type[AirctlError], name: str) -> None:
        with pytest.raises(kind) as caught:
            act()
        assert len(str(caught.value)) < 8000, name

    for name in NAMES:
        pointer.write_text(name)
        refused(lambda: airctl.load(run, "best", device="cpu"), ConfigError, name)
        pointer.write_bytes(originals[pointer])
        refused(lambda name=name: airctl.load(run, name, device="cpu"), ConfigError, name)
        files = json.loads(originals[manifest])["files"]
        for changed in (
            {**files, name: files["state.json"]},
            {**dict(list(files.items())[1:]), name: files["state.json"]},
        ):
            manifest.write_text(json.dumps({"files": changed}))
            refused(lambda: airctl.load(run, "last", device="cpu"), InputFileError, name)
        manifest.write_bytes(originals[manifest])
        data.write_text(json.dumps({"path": name}))
        refused(lambda: airctl.evaluate(run, device="cpu"), InputFileError, name)
        data.write_bytes(originals[data])
    assert tree(tmp_path) == before
    assert airctl.load(run, "best", device="cpu").step <= 6  # the control: as it was it is followed
    tally("hostile names, each as pointer, --checkpoint, manifest entry and data of a run", len(NAMES))


@pytest.mark.parametrize(
    "name", ["/", ".", "..", "a\0b", "x" * 300, "x/" * 3000 + "x", "file/x", "folder", "fifo", "/dev/null", "/proc/x/y"]
)
def test_what_cannot_be_written_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Impossible names, folders, pipes and devices are a usage error, and stay what they are."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    os.mkfifo("fifo")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(ConfigError):
        write_text(Path(name), "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "file/x", "file"])
def test_a_run_that_cannot_be_made_is_told(name: str, small_data: Path, tmp_path: Path) -> None:
    """The same of the folder of a run."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError):
        train(small_data, tmp_path / name, small(), threads=1, device="cpu")


# --- links -----------------------------------------------------------------------------------------------------------

PLANTED = {
    "eval-test.json": "victim", "eval-test.json.part": "victim", "eval-test.md.part": "victim",
    "metrics.jsonl": "victim",
    "metrics.jsonl.part": "victim", "metrics.csv": "victim", "metrics.csv.part": "victim", ".holder": "victim",
    ".holder.part": "victim", ".lock": "victim", "checkpoints/last": "victim", "checkpoints/last.part": "victim",
    "checkpoints/best.part": "victim", "checkpoints/step_00000008.part": ".",
    "checkpoints/step_00000008.part/state.json": "victim",
    "checkpoints/step_00000004": LAST, "checkpoints/step_00000003.part": ".", "checkpoints/step_00000099": ".",
    "checkpoints": ".", "figures": ".", "figures/scenes_step_00000008.png.part": "victim", "tensorboard": ".",
}  # fmt: skip


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_link_is_not_written_through(
    place: str, run: Path, small_data: Path, tmp_path: Path, tally: Tally
) -> None:
    """A run folder with a link to somebody's file or folder: what training, eval and preview do stays in the run."""
    link, outside = run / place, tmp_path / "outside"
    if link.is_dir():
        shutil.rmtree(link)
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside / PLANTED[place])
    before = tree(outside)
    longer = small("train.keep_last=2", "train.steps=8")
    for act in (
        lambda: train(small_data, run, longer, resume=True, threads=1, device="cpu"),
        lambda: airctl.evaluate(run, device="cpu"),
        lambda: airctl.draw_run(run),
    ):
        try:
            act()
        except AirctlError as error:
            told = str(error)
            assert "\n" not in told
    assert tree(outside) == before
    tally(f"links planted in a run: {place}", 1)


@pytest.mark.parametrize(
    "place",
    [
        ".lock", ".holder", "command.txt", "environment.json", "data.json", "config.toml", "metrics.jsonl",
        "eval-test.json", "frames/step_00000000.json", "checkpoints/last", f"checkpoints/{LAST}/state.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dangling", [False, True])
def test_a_run_with_a_link_in_it_is_refused_and_what_it_leads_to_not_read(
    place: str, dangling: bool, run: Path, small_data: Path, tmp_path: Path
) -> None:
    """A link to a person's own file would be locked, or published by report: nothing goes on, no page is written."""
    shutil.move(run / place, tmp_path / "moved") if (run / place).exists() else None
    victim = tmp_path / ("nowhere" if dangling else "moved")
    if not dangling and not victim.exists():
        victim.write_text("{}")
    (run / place).symlink_to(victim)
    acts = [lambda: train(small_data, run, small("train.keep_last=2"), resume=True, threads=1, device="cpu")]
    if not (dangling and place == "config.toml"):  # without it the folder is no run's
        acts += [lambda: airctl.info(run), lambda: airctl.report(run, device="cpu"), lambda: airctl.load(run)]
    for act in acts:
        with pytest.raises(ConfigError, match="is a link to somewhere else"):
            act()
    assert not (run / "report.html").exists()


def test_the_folder_of_a_run_may_itself_be_a_link(run: Path, tmp_path: Path) -> None:
    """Whoever names it has made it."""
    (tmp_path / "latest").symlink_to(run)
    assert airctl.info(tmp_path / "latest").step == 6


@pytest.mark.parametrize(
    "name",
    [
        "config.toml",
        "data.json",
        "checkpoints/last",
        f"checkpoints/{LAST}/manifest.json",
        f"checkpoints/{LAST}/state.json",
    ],
)
def test_a_pipe_in_a_run_is_not_waited_for(name: str, run: Path) -> None:
    """A file that would never end or never begin is refused, or passed over."""
    (run / name).unlink()
    os.mkfifo(run / name)
    try:
        airctl.evaluate(run, device="cpu")
    except AirctlError as error:
        refused = error
    else:
        refused = None
    assert (refused is None) == (name == "checkpoints/last")  # the newest is taken then


@pytest.mark.parametrize("name", ["metrics.jsonl", "command.txt", "environment.json", "frames/step_00000000.json"])
def test_no_command_waits_for_a_pipe(name: str, run: Path, small_data: Path) -> None:
    """info, report and train refuse it, or do without the file; a test that waited would not end."""
    (run / name).unlink()
    os.mkfifo(run / name)
    longer = small("train.keep_last=2", "train.steps=8")
    refused = []
    for act in (
        lambda: airctl.info(run),
        lambda: airctl.report(run, device="cpu"),
        lambda: train(small_data, run, longer, resume=True, threads=1, device="cpu"),
    ):
        try:
            act()
        except AirctlError as error:
            refused.append(str(error))
    assert refused
    assert all("no ordinary file" in told for told in refused)


# --- bombs -----------------------------------------------------------------------------------------------------------


def idx_bomb(folder: Path) -> Callable[[], object]:
    """2 GB of zeros behind a header of sixty values."""
    path = folder / "bomb.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 5, 4, 3)) + 200 * gzip.compress(bytes(10**7)))
    return lambda: read_idx(path)


def idx_promise(folder: Path) -> Callable[[], object]:
    """A gigabyte that is there, packed a thousand to one."""
    path = folder / "promise.gz"
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**10, 2**10, 2**10)
    path.write_bytes(gzip.compress(header) + 2**7 * gzip.compress(bytes(2**23)))
    return lambda: read_idx(path)


def hdf5_bomb(folder: Path) -> Callable[[], object]:
    """Two gigabytes of zeros that are there, packed a thousand to one."""
    path, n = folder / "bomb.h5", 2000
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for name, value in {"schema": 1, "seed": 0, "train": n, "test": 0, "max_digits": 1, "canvas": 1024}.items():
            file.attrs[name] = value
        file.attrs["scale_mean"], file.attrs["scale_sd"] = 1.3, 0.1
        for name in ("generator", "generator_version", "preset", "digits", "digits_sha256"):
            file.attrs.create(name, b"x", dtype=h5py.string_dtype("utf-8", 1))
        group = file.create_group("train")
        group.attrs.create("sha256", b"0" * 64, dtype=h5py.string_dtype("utf-8", 64))
        images = group.create_dataset(
            "images", (n, 1024, 1024), "u1", chunks=(50, 1024, 1024), compression="gzip", compression_opts=9
        )
        packed = zlib.compress(bytes(50 * 2**20), 9)
        for start in range(0, n, 50):
            images.id.write_direct_chunk((start, 0, 0), packed)
        for name, shape, dtype, fill in (
            ("counts", (n,), "u1", 0), ("labels", (n, 1), "u1", 255), ("boxes", (n, 1, 4), "i2", -1),
            ("scales", (n, 1), "f4", 0), ("digit_index", (n, 1), "i4", -1),
        ):  # fmt: skip
            group.create_dataset(name, data=np.full(shape, fill, dtype), chunks=shape)
    return lambda: read_split(path, "train")


def npz_bomb(folder: Path) -> Callable[[], object]:
    """An archive whose array says it is small and is not."""
    path = folder / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1, 5, 5)})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w") as stream,
    ):
        stream.write(header.getvalue())
        for _ in range(60):
            stream.write(bytes(10**7))
    return lambda: list(read_scenes([path]))


def png_bomb(folder: Path) -> Callable[[], object]:
    """A kilobyte that declares 65 535 x 65 535 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path = folder / "bomb.png"
    header = struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    return lambda: list(read_scenes([path]))


def toml_bomb(folder: Path) -> Callable[[], object]:
    """Half a megabyte of open brackets."""
    path = folder / "bomb.toml"
    path.write_text("a = " + "[" * 500_000)
    return lambda: config.load(path)


def sparse(name: str, read: Callable[[Path], object]) -> Callable[[Path], Callable[[], object]]:
    """A file of eight gigabytes that takes no room."""

    def made(folder: Path) -> Callable[[], object]:
        path = folder / name
        with open(path, "wb") as stream:
            stream.truncate(2**33)
        return lambda: read(path)

    return made


BOMBS = {
    "gz-IDX, more than declared": idx_bomb,
    "gz-IDX, a gigabyte": idx_promise,
    "HDF5, two gigabytes": hdf5_bomb,
    ".npz": npz_bomb,
    "PNG": png_bomb,
    "TOML": toml_bomb,
    "config of 8 GB": sparse("config.toml", config.load),
    "IDX of 8 GB": sparse("digits", read_idx),
    ".npy of 8 GB": sparse("stack.npy", lambda path: list(read_scenes([path]))),
    "picture of 8 GB": sparse("picture.png", lambda path: list(read_scenes([path]))),
    "metrics.jsonl of 8 GB": sparse("metrics.jsonl", lambda path: RunFolder(path.parent).read_metrics()),
    "command.txt of 8 GB": sparse("command.txt", lambda path: RunFolder(path.parent).command()),
    "data.json of 8 GB": sparse("data.json", lambda path: RunFolder(path.parent).data()),
}


def test_more_frames_than_a_run_leaves_are_refused(tmp_path: Path) -> None:
    """Too many of them, or too large ones; the report would hold them all. A thousand small ones are read."""
    folder = RunFolder(tmp_path)
    for step in range(1001):
        write_text(folder.frames / f"step_{step:08d}.json", "{}")
    with pytest.raises(InputFileError, match="holds too much: expected at most 1000 frames"):
        folder.read_frames()
    (folder.frames / "step_00000000.json").unlink()
    assert len(folder.read_frames()) == 1000
    for step in range(1, 6):
        with open(folder.frames / f"step_{step:08d}.json", "r+b") as stream:
            stream.truncate(15 << 20)
    with pytest.raises(InputFileError, match="holds too much"):
        folder.read_frames()


HEAVY = ("gz-IDX, a gigabyte", ".npz")


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.soak if k in HEAVY else ()) for k in BOMBS])
def test_a_bomb_is_refused_in_bounded_memory(kind: str, tmp_path: Path) -> None:
    """In 512 MB: an InputFileError, exit code 3."""
    read = BOMBS[kind](tmp_path)

    def bounded() -> None:
        bound_memory()
        read()

    outcome = in_fork(bounded)
    assert outcome.code == 3, outcome
    assert "\n" not in outcome.message
