"""Counts of pictures: what a CSV may hold, whose they are, and of which crops they are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airctl.commands.import_pictures import import_pictures
from airctl.errors import ConfigError, InputFileError
from airctl.scenes import read_split
from airctl.scenes.cells import cells
from airctl.scenes.counted import counts_of, crop_counts, read_counts
from airctl.scenes.spec import NO_COUNT


def table(folder: Path, *rows: str, head: str = "image,count") -> Path:
    path = folder / "counts.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_counts_are_read_by_name_whatever_else_a_row_has(tmp_path: Path) -> None:
    """As a spreadsheet or airctl count writes it: more columns, quotes, a byte order mark, empty lines."""
    path = table(tmp_path, '"a, b.png",3,0.9', "", "c.png, 0 ,", head="\ufeffimage,count,fit")
    assert read_counts(path) == {"a, b.png": 3, "c.png": 0}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.png,2.5", r"row 2: a\.png has the count '2\.5', expected a whole number from 0 to 254"),
        ("a.png,-1", "has the count '-1'"),
        ("a.png,255", "has the count '255'"),
        ("a.png,two", "has the count 'two'"),
        ("a.png", "has the count ''"),
        ("a.png,2\na.png,2", r"row 3: a\.png has a count already"),
    ],
)
def test_a_count_that_is_none_is_refused_in_one_sentence(row: str, told: str, tmp_path: Path) -> None:
    """The row, what is there, and what was expected."""
    with pytest.raises(InputFileError, match=told) as refused:
        read_counts(table(tmp_path, row))
    assert "\n" not in str(refused.value)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """No file, other columns, bytes that are no text."""
    with pytest.raises(InputFileError, match="no such file"):
        read_counts(tmp_path / "none.csv")
    with pytest.raises(InputFileError, match="does not begin with the row image,count"):
        read_counts(table(tmp_path, head="name,n"))
    (tmp_path / "b.csv").write_bytes(b"image,count\n\xff\xfe,1\n")
    with pytest.raises(InputFileError, match="is no CSV"):
        read_counts(tmp_path / "b.csv")


def test_a_count_belongs_to_one_picture_by_its_path_or_its_name() -> None:
    """A name of none, of two, and two counts of one are refused."""
    source, names = Path("counts.csv"), ["x/a.png", "y/a.png", "y/b.png"]
    assert counts_of(names, {"x/a.png": 1, "b.png": 4}, source) == [1, None, 4]
    for counts, told in (
        ({"c.png": 1}, r"c\.png has a count, but no picture is called so"),
        ({"a.png": 1}, r"a\.png has a count, but 2 pictures are called so"),
        ({"y/b.png": 1, "b.png": 1}, r"y/b\.png has two counts"),
    ):
        with pytest.raises(InputFileError, match=told):
            counts_of(names, counts, source)


def test_a_count_is_known_of_whole_pictures_and_of_empty_ones() -> None:
    """Of pieces of a picture with objects, and of pictures that nobody counted, nothing is known."""
    found = crop_counts([3, 3, 0, None], [True, False, False, True], np.array([0, 1, 2, 3, 0]))
    assert found.tolist() == [3, NO_COUNT, 0, NO_COUNT, 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small pictures with 1, 2 and 3 cells, which fit into a scene, and a large one."""
    path = tmp_path_factory.mktemp("pictures")
    for number in (1, 2, 3):
        Image.fromarray(cells(number, 44, 44, 20, number).quantised(8)).save(path / f"{number}.png")
    Image.fromarray(cells(20, 160, 160, 20, 9).quantised(8)).save(path / "large.png")
    return path


def test_imported_scenes_have_the_counts_that_follow_from_their_pictures(folder: Path, tmp_path: Path) -> None:
    """Written, read back and told; without a CSV the file is what it was, and has none."""
    counts = table(tmp_path, "1.png,1", "2.png,2", "large.png,20")
    out = tmp_path / "scenes.h5"
    told = import_pictures([folder], out, object_size=20, train=200, test=20, counts=counts)
    split = read_split(out, "train")
    assert 0 < told.counted == split.counted.sum() < 200
    assert set(split.counts.tolist()) == {1, 2, NO_COUNT}
    for n in (1, 2):
        assert len({image.tobytes() for image in split.images[split.counts == n]}) == 1
    plain = import_pictures([folder], tmp_path / "plain.h5", object_size=20, train=200, test=20)
    assert np.array_equal(read_split(tmp_path / "plain.h5", "train").images, split.images)
    assert (plain.counted, read_split(tmp_path / "plain.h5", "train").counted.any()) == (0, False)


def test_counts_that_say_nothing_of_any_scene_are_refused(folder: Path, tmp_path: Path) -> None:
    """A large picture's count is no crop's; of an empty one it is, which is the control."""
    out = tmp_path / "scenes.h5"
    with pytest.raises(ConfigError, match="no scene has a count: expected counts of pictures that fit into a scene"):
        import_pictures([folder], out, object_size=20, train=50, test=5, counts=table(tmp_path, "large.png,20"))
    assert not out.exists()
    told = import_pictures([folder], out, object_size=20, train=50, test=5, counts=table(tmp_path, "large.png,0"))
    assert told.counted > 0
