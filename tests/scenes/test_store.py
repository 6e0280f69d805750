"""The scene file: what was written is read, byte for byte again from the same seed, and no stranger is believed."""

import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest

from airctl import files
from airctl.errors import ConfigError, InputFileError, StorageError
from airctl.scenes import Glyphs, SceneSpec, SceneSplit, compose_scenes, read_attributes, read_split, write_scenes

from .damage import CHUNKS, IMAGES, Change, attribute, dataset, refused, refused_after


def same(one: SceneSplit, other: SceneSplit) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


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
    """min_digits comes back; a minimum of 0 is not written."""
    path = tmp_path / "s.h5"

    def written(**settings: float) -> dict:
        spec = SceneSpec(train=3, test=2, **settings)
        write_scenes(path, spec, glyphs, *compose_scenes(spec, glyphs))
        return read_attributes(path)

    told = written(min_digits=1, scale_mean=2, scale_sd=0)
    assert (told["min_digits"], told["scale_mean"], told["scale_sd"]) == (1, 2.0, 0.0)
    assert [type(told[name]) for name in ("min_digits", "ink_size", "scale_mean", "scale_sd")] == [int, *[float] * 3]
    assert "min_digits" not in written()


def test_a_file_of_an_older_version_is_read_as_ever(scene_file: Path) -> None:
    """Without ink_size, which it did not know; without any attribute that it knew, it is refused."""
    before = read_split(scene_file, "train")
    with h5py.File(scene_file, "r+") as file:
        del file.attrs["ink_size"]
    assert "ink_size" not in read_attributes(scene_file)
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


# --- other files than the schema says --------------------------------------------------------------------------------


def values(name: str, where: object, value: object) -> Change:
    def put(group: h5py.Group, folder: Path) -> None:
        group[name][where] = value

    return put


def no_attribute(name: str) -> Change:
    def put(group: h5py.Group, folder: Path) -> None:
        del group.file.attrs[name]

    return put


CONTRADICTIONS = {
    "another dtype": (dataset("images", data=IMAGES.astype("f4"), **CHUNKS), "is float32 where uint8 belongs"),
    "objects": (dataset("labels", shape=(20, 2), dtype=h5py.string_dtype(), chunks=(20, 2)), "where uint8 belongs"),
    "other dimensions": (dataset("images", data=IMAGES[0], chunks=(50, 50)), "attributes say"),
    "fewer scenes": (dataset("counts", data=np.zeros(19, "u1"), chunks=(19,)), "attributes say"),
    "no seed": (no_attribute("seed"), "has no attribute seed"),
    "a later schema": (attribute("schema", 2), "has schema 2"),
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


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_a_file_that_is_not_as_the_schema_says_is_refused(scene_file: Path, kind: str) -> None:
    """Each with its own sentence, before its scenes are used."""
    change, message = CONTRADICTIONS[kind]
    refused_after(change, message, scene_file)


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
    """SIGKILL just before it has its name: only a .part file is there, and the next run leaves the whole file alone."""
    script = f"""
        import os, signal, sys
        from pathlib import Path
        from airctl.scenes import SceneSpec, generate_data, glyphs
        glyphs.FONT_TRAIN, glyphs.FONT_TEST = 30, 10
        if sys.argv[1] == "killed":
            os.link = lambda *a, **b: os.kill(os.getpid(), signal.SIGKILL)
        generate_data(Path({str(tmp_path)!r}) / "s.h5", SceneSpec(train=5, test=2), "font")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    assert subprocess.run([*command, "killed"], capture_output=True, check=False).returncode == -9
    assert [p.suffix for p in tmp_path.iterdir()] == [".part"]
    assert subprocess.run([*command, "left alone"], capture_output=True, check=False).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]
    assert len(read_split(tmp_path / "s.h5", "train").images) == 5
