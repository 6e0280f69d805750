"""The scene file: what was written is read, byte for byte again from the same seed, and no stranger is believed."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest

from airctl import files
from airctl.errors import ConfigError, InputFileError, StorageError
from airctl.scenes import Glyphs, SceneSpec, SceneSplit, compose_scenes, read_attributes, read_split, write_scenes


def same(one: SceneSplit, other: SceneSplit) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


def refused(path: Path, message: str = "h5") -> None:
    """Reading ``path`` is an InputFileError of one sentence with its name in it."""
    with pytest.raises(InputFileError, match=message) as caught:
        read_split(path, "train")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


# --- what is right ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_digits", [0, 1, 3])
@pytest.mark.parametrize("train", [1, 30])
def test_what_is_written_is_read(tmp_path: Path, glyphs: Glyphs, max_digits: int, train: int) -> None:
    """Every array of both splits, dtypes included, and every parameter."""
    spec = SceneSpec("pyro", train=train, test=4, max_digits=max_digits, canvas=60, seed=9)
    splits = compose_scenes(spec, glyphs)
    write_scenes(tmp_path / "s.h5", spec, glyphs, *splits)
    for name, split in zip(("train", "test"), splits, strict=True):
        found = read_split(tmp_path / "s.h5", name)
        assert same(found, split)
        assert all(getattr(found, f.name).dtype == getattr(split, f.name).dtype for f in fields(split))
    attributes = read_attributes(tmp_path / "s.h5")
    expected = {"preset": "pyro", "seed": 9, "train": train, "test": 4, "max_digits": max_digits, "canvas": 60}
    assert expected.items() <= attributes.items()
    assert attributes["digits_sha256"] == glyphs.sha256
    assert attributes["generator"] == "airctl"


def test_what_not_every_file_says_is_read_where_it_stands(tmp_path: Path, glyphs: Glyphs) -> None:
    """object_size and min_digits come back; a minimum of 0, and the size of no objects, are not written."""
    path = tmp_path / "s.h5"

    def written(**settings: float) -> dict:
        spec = SceneSpec(train=3, test=2, **settings)
        write_scenes(path, spec, glyphs, *compose_scenes(spec, glyphs))
        return read_attributes(path)

    told = written(min_digits=1, scale_mean=2, scale_sd=0)
    assert (told["min_digits"], told["object_size"], told["scale_mean"], told["scale_sd"]) == (1, 14.0, 2.0, 0.0)
    assert [type(told[name]) for name in ("min_digits", "object_size", "scale_mean", "scale_sd")] == [int, *[float] * 3]
    told = written()
    assert told["object_size"] == pytest.approx(28 / 1.3)
    assert "min_digits" not in told
    assert "object_size" not in written(max_digits=0)


def test_a_file_of_an_older_version_is_read_as_ever(scene_file: Path) -> None:
    """Without object_size, which it did not know; without any attribute that it knew, it is refused."""
    before = read_split(scene_file, "train")
    with h5py.File(scene_file, "r+") as file:
        del file.attrs["object_size"]
    assert "object_size" not in read_attributes(scene_file)
    assert same(read_split(scene_file, "train"), before)
    with h5py.File(scene_file, "r+") as file:
        del file.attrs["scale_mean"]
    refused(scene_file, "has no attribute scale_mean")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("object_size", np.nan, "says object_size nan"),
        ("object_size", np.inf, "says object_size inf"),
        ("object_size", 0.0, "says object_size 0.0"),
        ("object_size", -3.0, "says object_size -3.0"),
        ("object_size", 50.5, "on a canvas of 50"),
        ("object_size", 20, "no plain float"),
        ("min_digits", -1, "says min_digits -1"),
        ("min_digits", 3, "says min_digits 3, max_digits 2"),
        ("min_digits", 1.0, "no plain int"),
        ("min_digits", 1, "has a count of 0 where at least 1"),
    ],
)
def test_an_attribute_that_contradicts_the_scenes_is_refused(
    scene_file: Path, name: str, value: float, message: str
) -> None:
    """Sizes that no object on the canvas has, and minima that the counts do not keep."""
    with h5py.File(scene_file, "r+") as file:
        file.attrs[name] = value
    refused(scene_file, message)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, glyphs: Glyphs, small_spec: SceneSpec) -> None:
    """Two files, written apart, are equal; another seed is the control."""
    names = []
    for i, spec in enumerate([small_spec, small_spec, SceneSpec(train=20, test=6, seed=1)]):
        names.append(tmp_path / f"{i}.h5")
        write_scenes(names[-1], spec, glyphs, *compose_scenes(spec, glyphs))
    one, again, other = (name.read_bytes() for name in names)
    assert one == again
    assert one != other


def test_a_file_without_test_scenes_says_so(tmp_path: Path, glyphs: Glyphs) -> None:
    """The train split is read as ever; asking for the test split names the reason."""
    spec = SceneSpec(train=3, test=0)
    write_scenes(tmp_path / "s.h5", spec, glyphs, *compose_scenes(spec, glyphs))
    assert len(read_split(tmp_path / "s.h5", "train").images) == 3
    with pytest.raises(InputFileError, match="was made without test scenes"):
        read_split(tmp_path / "s.h5", "test")


def test_a_misspelt_split_is_a_usage_error(scene_file: Path) -> None:
    """It lists the two there are."""
    with pytest.raises(ConfigError, match="train, test"):
        read_split(scene_file, "validation")


def test_a_source_name_of_any_letters_is_kept(tmp_path: Path, glyphs: Glyphs, small_spec: SceneSpec) -> None:
    """Umlauts and very long names of digit files do not break the attributes."""
    for source in ("zähler-数字.npz", "ä" * 5000):
        named = Glyphs(*list(vars(glyphs).values())[:4], source=source, sha256=glyphs.sha256)
        write_scenes(tmp_path / "s.h5", small_spec, named, *compose_scenes(small_spec, named))
        assert source.startswith(str(read_attributes(tmp_path / "s.h5")["digits"]))


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["absent.h5", "folder", "pipe", "x" * 5000, "zero\0byte"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """Missing files, folders, pipes and impossible names."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / name, "no such file")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """Nothing, a text, an HDF5 file of somebody else."""
    path = tmp_path / "s.h5"
    for data in (b"", b"counts,images\n", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(data)
        refused(path, "truncated, damaged or no HDF5 file")
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    refused(path, "has no attribute schema")
    with pytest.raises(InputFileError, match="has no attribute schema"):
        read_attributes(path)


def test_a_truncated_file_is_refused_wherever_it_ends(scene_file: Path) -> None:
    """Every 29th length, and the last bytes one by one."""
    data = scene_file.read_bytes()
    for length in [*range(0, len(data), 29), *range(len(data) - 20, len(data))]:
        scene_file.write_bytes(data[:length])
        refused(scene_file)


def test_no_flipped_bit_is_loaded_in_silence(scene_file: Path) -> None:
    """200 random bits: the file is refused, or what is read is what was written."""
    data = scene_file.read_bytes()
    scenes, attributes = read_split(scene_file, "train"), read_attributes(scene_file)
    rng = np.random.RandomState(0)
    caught = 0
    for _ in range(200):
        changed = bytearray(data)
        changed[rng.randint(len(data))] ^= 1 << rng.randint(8)
        scene_file.write_bytes(changed)
        try:
            assert same(read_split(scene_file, "train"), scenes)
            assert read_attributes(scene_file) == attributes
        except InputFileError:
            caught += 1
    assert caught > 50


# --- hostile files ---------------------------------------------------------------------------------------------------


def swap(group: h5py.Group, name: str, **options: object) -> None:
    """Put another dataset in the place of ``name``."""
    del group[name]
    group.create_dataset(name, **options)


def external_storage(group: h5py.Group, folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(10**5))
    swap(group, "images", shape=(20, 50, 50), dtype="u1", external=[(str(folder / "secret"), 0, 50000)])


def virtual_dataset(group: h5py.Group, folder: Path) -> None:
    shutil.copy(group.file.filename, folder / "copy.h5")
    layout = h5py.VirtualLayout(shape=(20, 50, 50), dtype="u1")
    layout[:] = h5py.VirtualSource(str(folder / "copy.h5"), "train/images", shape=(20, 50, 50))
    del group["images"]
    group.create_virtual_dataset("images", layout)


def link(target: object) -> Callable[[h5py.Group, Path], None]:
    def put(group: h5py.Group, folder: Path) -> None:
        group.move("images", "elsewhere")
        group["images"] = target

    return put


def dataset(name: str, **options: object) -> Callable[[h5py.Group, Path], None]:
    return lambda group, folder: swap(group, name, **options)


def values(name: str, where: object, value: object) -> Callable[[h5py.Group, Path], None]:
    def put(group: h5py.Group, folder: Path) -> None:
        group[name][where] = value

    return put


def attribute(name: str, value: object) -> Callable[[h5py.Group, Path], None]:
    def put(group: h5py.Group, folder: Path) -> None:
        group.file.attrs[name] = value

    return put


def no_attribute(name: str) -> Callable[[h5py.Group, Path], None]:
    def put(group: h5py.Group, folder: Path) -> None:
        del group.file.attrs[name]

    return put


def no_dataset(group: h5py.Group, folder: Path) -> None:
    del group["labels"]


def no_group(group: h5py.Group, folder: Path) -> None:
    del group.file["train"]


def group_for_dataset(group: h5py.Group, folder: Path) -> None:
    del group["labels"]
    group.create_group("labels")


def huge(group: h5py.Group, folder: Path) -> None:
    """Ten terabytes that fit their attributes and take no room."""
    del group.file["train"]
    n, new = 4 * 10**9, group.file.create_group("train")
    group.file.attrs["train"] = np.int64(n)
    new.attrs["sha256"] = np.bytes_("0" * 64)
    slots = {"labels": "u1", "scales": "f4", "digit_index": "i4"}
    new.create_dataset("images", (n, 50, 50), "u1", chunks=(400, 50, 50))
    new.create_dataset("counts", (n,), "u1", chunks=(10**6,))
    new.create_dataset("boxes", (n, 2, 4), "i2", chunks=(10**5, 2, 4))
    for name, dtype in slots.items():
        new.create_dataset(name, (n, 2), dtype, chunks=(10**5, 2))


IMAGES = np.zeros((20, 50, 50), np.uint8)
CHUNKS = {"chunks": (20, 50, 50)}

HOSTILE = {
    "external storage": (external_storage, "not stored in chunks of its own file"),
    "virtual dataset": (virtual_dataset, "not stored in chunks of its own file"),
    "external link": (link(h5py.ExternalLink("/etc/passwd", "/")), "link to somewhere else"),
    "soft link": (link(h5py.SoftLink("/train/elsewhere")), "link to somewhere else"),
    "contiguous": (dataset("images", data=IMAGES), "not stored in chunks"),
    "declared, never written": (dataset("images", shape=(20, 50, 50), dtype="u1", **CHUNKS), "does not hold"),
    "ten terabytes": (huge, "which it cannot hold"),
    "a huge chunk": (
        dataset("counts", shape=(20,), dtype="u1", chunks=(2**27,), maxshape=(None,), compression="gzip"),
        "in chunks of 134217728",
    ),
    "another dtype": (dataset("images", data=IMAGES.astype("f4"), **CHUNKS), "is float32 where uint8 belongs"),
    "objects": (dataset("labels", shape=(20, 2), dtype=h5py.string_dtype(), chunks=(20, 2)), "where uint8 belongs"),
    "another filter": (dataset("images", data=IMAGES, compression="lzf", **CHUNKS), "filters"),
    "other dimensions": (dataset("images", data=IMAGES[0], chunks=(50, 50)), "attributes say"),
    "fewer scenes": (dataset("counts", data=np.zeros(19, "u1"), chunks=(19,)), "attributes say"),
    "no dataset": (no_dataset, "has no /train/labels"),
    "no group": (no_group, "has no /train"),
    "a group for a dataset": (group_for_dataset, "labels is no dataset"),
    "no seed": (no_attribute("seed"), "has no attribute seed"),
    "a later schema": (attribute("schema", 2), "has schema 2"),
    "a text for a number": (attribute("canvas", "50"), "no plain int"),
    "an array for a number": (attribute("canvas", [50, 50]), "no plain int"),
    "a huge attribute": (attribute("preset", np.bytes_("x" * 5000)), "no plain str"),
    "another canvas": (attribute("canvas", 40), "attributes say"),
    "a canvas without bounds": (attribute("canvas", 10**9), "says max_digits 2, canvas"),
    "fewer digits than counted": (attribute("max_digits", 1), "attributes say"),
    "a negative number of scenes": (attribute("train", -1), "says -1 train"),
    "more scenes than there are": (attribute("train", 21), "attributes say"),
    "a count too large": (values("counts", 0, 200), "has a count of 200"),
    "a label in the padding": (values("labels", slice(None), 3), "labels contradict the counts"),
    "a box outside": (values("boxes", slice(None), 77), "boxes contradict the counts"),
    "no number for a scale": (values("scales", slice(None), np.nan), "scales contradict the counts"),
    "a digit for nobody": (values("digit_index", slice(None), 5), "digit_index contradict the counts"),
    "changed pixels": (values("images", 3, 7), "differ from their sha256"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(scene_file: Path, tmp_path: Path, kind: str) -> None:
    """Each with its own sentence, before its values are used."""
    change, message = HOSTILE[kind]
    read_split(scene_file, "train")  # the control: it was good before
    with h5py.File(scene_file, "r+") as file:
        change(file["train"], tmp_path)
    refused(scene_file, message)


def test_more_than_half_of_the_memory_is_refused(scene_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros that are there are packed a thousand to one: a small file must not fill a small machine."""
    monkeypatch.setattr(os, "sysconf", lambda name: 317)
    read_split(scene_file, "train")  # the control: 50 000 bytes, of 100 489
    monkeypatch.setattr(os, "sysconf", lambda name: 316)
    refused(scene_file, "train/images is 50000 bytes large, more than half of this machine's memory")


def test_a_linked_group_is_not_followed(scene_file: Path, tmp_path: Path) -> None:
    """A whole split behind an external link to a file that is good in itself."""
    shutil.copy(scene_file, tmp_path / "other.h5")
    with h5py.File(scene_file, "r+") as file:
        del file["train"]
        file["train"] = h5py.ExternalLink("other.h5", "/train")
    refused(scene_file, "train is a link to somewhere else")


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_file(
    scene_file: Path, glyphs: Glyphs, small_spec: SceneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC is told with exit code 6, and what was there is whole."""
    before = scene_file.read_bytes()
    splits = compose_scenes(small_spec, glyphs)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(StorageError):
        write_scenes(scene_file, small_spec, glyphs, *splits)
    assert scene_file.read_bytes() == before
    assert [p.name for p in scene_file.parent.iterdir()] == [scene_file.name]


def test_a_killed_writer_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    """SIGKILL just before the rename: only a .part file is there, and the next run puts the whole file in place."""
    script = f"""
        import os, signal, sys
        from pathlib import Path
        from airctl.scenes import SceneSpec, generate_data, glyphs
        glyphs.FONT_TRAIN, glyphs.FONT_TEST = 30, 10
        if sys.argv[1] == "killed":
            os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
        generate_data(Path({str(tmp_path)!r}) / "s.h5", SceneSpec(train=5, test=2), "font")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    assert subprocess.run([*command, "killed"], capture_output=True, check=False).returncode == -9
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5.part"]
    assert subprocess.run([*command, "left alone"], capture_output=True, check=False).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]
    assert len(read_split(tmp_path / "s.h5", "train").images) == 5


def test_foreign_filter_plugins_stay_out() -> None:
    """HDF5 is told so before it is loaded."""
    assert os.environ["HDF5_PLUGIN_PRELOAD"] == "::"
