"""Pictures as scene files: the same bytes from the same seed, nothing in them trusted, no counts in them."""

from __future__ import annotations

import struct
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from airctl import commands, scenes
from airctl.commands.import_pictures import LEARNT_FROM, spread
from airctl.commands.import_pictures import import_pictures as import_files
from airctl.errors import ConfigError, InputFileError
from airctl.scenes import Picture, import_pictures, read_attributes, read_scenes, read_split
from airctl.scenes.cells import cells
from airctl.scenes.importing import CANVAS, crops
from airctl.scenes.spec import NO_COUNT
from airctl.scenes.store import picture_of

assert commands


def pictures(number: int = 2, side: int = 160) -> list[Picture]:
    return [Picture(f"{seed}.png", cells(25, side, side + 20, 20, seed).quantised(8)) for seed in range(number)]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imported") / "scenes.h5"
    import_pictures(pictures(), path, train=40, test=8)
    return path


def test_the_same_seed_gives_the_same_bytes(imported: Path, tmp_path: Path) -> None:
    """Word for word; another seed, another picture or another size gives others."""
    import_pictures(pictures(), tmp_path / "a.h5", train=40, test=8)
    assert (tmp_path / "a.h5").read_bytes() == imported.read_bytes()
    import_pictures(pictures(), tmp_path / "b.h5", train=40, test=8, seed=1)
    import_pictures(pictures(3), tmp_path / "c.h5", train=40, test=8)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 3


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """Images as they were cut, counts unknown, and how the pictures were developed."""
    how = import_pictures(pictures(), tmp_path / "a.h5", train=40, test=0)
    told = read_attributes(tmp_path / "a.h5")
    assert told["preset"] == "imported"
    assert asdict(picture_of(told)) == asdict(how)
    split = read_split(tmp_path / "a.h5", "train")
    assert split.images.shape == (40, CANVAS, CANVAS)
    assert (split.counts == NO_COUNT).all()
    assert not split.counted.any()
    assert (split.boxes == -1).all()
    canvases = [scenes.develop(one, how).canvas for one in pictures()]
    windows = {
        np.lib.stride_tricks.sliding_window_view(c, (CANVAS, CANVAS))[y, x].tobytes()
        for c in canvases
        for y in range(c.shape[0] - CANVAS + 1)
        for x in range(c.shape[1] - CANVAS + 1)
    }
    assert all(image.tobytes() in windows for image in split.images)
    with pytest.raises(InputFileError, match="was made without test scenes"):
        read_split(tmp_path / "a.h5", "test")


def test_half_of_the_crops_have_something_bright() -> None:
    """One small spot on a large black canvas: every other crop has it; uniform places would nearly never."""
    canvas = np.zeros((1000, 1000), np.uint8)
    canvas[480:484, 700:704] = 255
    cut, _ = crops([canvas], 200, CANVAS, np.random.RandomState(0))
    share = cut.any((1, 2)).mean()
    assert 0.49 <= share <= 0.53


def test_a_picture_smaller_than_a_scene_is_padded_with_black(tmp_path: Path) -> None:
    """Each of its scenes is all of it."""
    small = Picture("s.png", cells(1, 40, 45, 20, 0).quantised(8))
    how = scenes.choose([small], 20.0)
    import_pictures([small], tmp_path / "a.h5", how, train=5, test=1)
    canvas = scenes.develop(small, how).canvas
    height, width = canvas.shape
    assert max(height, width) < CANVAS
    for image in read_split(tmp_path / "a.h5", "train").images:
        assert np.array_equal(image[:height, :width], canvas)
        assert image.sum() == canvas.sum()


def test_nothing_is_replaced_without_force(imported: Path, tmp_path: Path) -> None:
    """Neither the scenes nor a preview; nor are there scenes of no pictures."""
    before = imported.read_bytes()
    with pytest.raises(ConfigError, match="force"):
        import_pictures(pictures(), imported, train=4, test=1)
    Image.fromarray(pictures(1)[0].values).save(tmp_path / "p.png")
    with pytest.raises(ConfigError, match="force"):
        import_files([tmp_path / "p.png"], tmp_path / "a.h5", preview=tmp_path / "p.png")
    assert imported.read_bytes() == before
    assert not (tmp_path / "a.h5").exists()
    with pytest.raises(ConfigError, match="no pictures"):
        import_pictures([], tmp_path / "a.h5")
    (tmp_path / "a.h5").write_text("")
    told = import_files(
        [tmp_path / "p.png"], tmp_path / "a.h5", train=4, test=1, force=True, preview=tmp_path / "q.png"
    )
    assert (told.pictures, told.train, told.test) == (1, 4, 1)
    with Image.open(tmp_path / "q.png") as preview:
        assert preview.size[0] > 200


def test_no_more_pictures_are_read_into_memory_than_teach(tmp_path: Path) -> None:
    """Spread over all of them, of any number."""
    for number in (1, LEARNT_FROM, LEARNT_FROM + 1, 5 * LEARNT_FROM):
        np.save(tmp_path / "s.npy", np.arange(number * 4, dtype=np.uint16).reshape(number, 2, 2))
        kept = [int(one.values[0, 0]) // 4 for one in spread(read_scenes([tmp_path / "s.npy"]))]
        assert min(number, LEARNT_FROM // 2) <= len(kept) <= LEARNT_FROM
        assert len(set(np.diff(kept).tolist())) <= 1
        assert kept[0] == 0
        assert kept[-1] >= number * 0.9 - 1


# --- strangers -------------------------------------------------------------------------------------------------------


def changed(source: Path, to: Path, **attributes: object) -> Path:
    to.write_bytes(source.read_bytes())
    with h5py.File(to, "r+") as file:
        for name, value in attributes.items():
            if value is None:
                del file.attrs[name]
            elif isinstance(value, str):
                file.attrs.create(name, value.encode(), dtype=h5py.string_dtype("utf-8", len(value)))
            else:
                file.attrs[name] = value
    return to


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("picture_object_size", value) for value in (-1.0, float("inf"), float("nan"), 1e6, 3, "12")),
        *(("picture_black", value) for value in (float("nan"), -2.0, 1.0, float("-inf"))),
        *(("picture_white", value) for value in (float("nan"), 0.0, -1.0, 3.0)),
        ("picture_channel", "ultraviolet"),
        ("picture_channel", 1.0),
        ("picture_invert", "perhaps"),
        ("picture_background", "x" * 300),
        ("picture_adapt", "no "),
        ("picture_white", None),
        ("picture_adapt", None),
        ("preset", "observations"),
        ("max_digits", 3),
        ("object_size", None),
        ("object_size", float("nan")),
        ("train", 41),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, value: object, imported: Path, tmp_path: Path) -> None:
    """Out of range, of another type, missing or contradicting: one sentence that names the file."""
    hostile = changed(imported, tmp_path / "hostile.h5", **{name: value})
    with pytest.raises(InputFileError, match=r"hostile\.h5") as refused:
        read_split(hostile, "train")
    if name != "train":
        with pytest.raises(InputFileError, match=r"hostile\.h5"):
            read_attributes(hostile)
    assert "\n" not in str(refused.value)


def test_a_file_of_digits_says_nothing_of_pictures(data: Path, imported: Path, tmp_path: Path) -> None:
    """The control: both files are read as they are; with attributes of the other, the one of digits is refused."""
    assert picture_of(read_attributes(data)).object_size == 0
    assert picture_of(read_attributes(changed(imported, tmp_path / "same.h5"))).object_size > 0
    with pytest.raises(InputFileError, match="picture_object_size"):
        read_attributes(changed(data, tmp_path / "digits.h5", picture_object_size=12.0))


def test_a_changed_pixel_is_found(imported: Path, tmp_path: Path) -> None:
    """By its sha256, through the HDF5 library, and by a checksum, below it."""
    path = changed(imported, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["train/images"][3, 4, 5] ^= 1
    with pytest.raises(InputFileError, match="sha256"):
        read_split(path, "train")
    assert len(read_split(path, "test").images) == 8
    with h5py.File(imported) as file:
        at = file["train/images"].id.get_chunk_info(0).byte_offset
    content = bytearray(imported.read_bytes())
    content[at + 20 : at + 24] = struct.pack("<I", 0xDEADBEEF)
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"a\.h5"):
        read_split(path, "train")
