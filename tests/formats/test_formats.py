"""What holds for every format: pictures without objects and pictures of one name are kept apart and counted."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import roifile
import tifffile
from samples import INSIDE, found

from airctl.errors import ConfigError
from airctl.formats import FORMATS, open_writer
from airctl.formats.writer import Writer, clipped, file_name

# Format -> how many objects the files of a folder hold for each picture, in order, as a reader of that format sees it.
COUNTED: dict[str, Callable[[Path], list[int]]] = {
    "csv": lambda folder: [
        int(row["count"]) for row in csv.DictReader(io.StringIO((folder / "counts.csv").read_text()))
    ],
    "coco": lambda folder: _counted_by_coco(json.loads((folder / "annotations.json").read_text())),
    "yolo": lambda folder: [len(p.read_text().splitlines()) for p in sorted(folder.glob("0*.txt"))],
    "labels": lambda folder: [int(tifffile.imread(p).max()) for p in sorted(folder.glob("*.tif"))],
    "imagej": lambda folder: [len(roifile.roiread(p)) for p in sorted(folder.glob("*.zip"))],
    "geojson": lambda folder: [len(json.loads(p.read_text())["features"]) for p in sorted(folder.glob("*.geojson"))],
}


def _counted_by_coco(content: dict[str, list[dict[str, int]]]) -> list[int]:
    return [sum(a["image_id"] == image["id"] for a in content["annotations"]) for image in content["images"]]


@pytest.mark.parametrize("name", FORMATS)
def test_pictures_of_one_name_and_pictures_without_objects_are_kept(name: str, tmp_path: Path) -> None:
    """a/x.png, b/x.png, two of a stack and an empty one: five pictures are read back with their own counts."""
    with open_writer(name, tmp_path / "new" / "folder") as writer:
        writer.add(found("a/x.png", INSIDE[0]))
        writer.add(found("b/x.png", *INSIDE))
        writer.add(found("x.tif[3]", INSIDE[1]))
        writer.add(found("x.tif[4]", *INSIDE))
        writer.add(found("b/nothing.png"))
    assert COUNTED[name](tmp_path / "new" / "folder") == [1, 2, 1, 2, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_no_pictures_make_no_broken_file(name: str, tmp_path: Path) -> None:
    """A writer that is closed at once leaves files that can be read and hold nothing."""
    with open_writer(name, str(tmp_path)):
        pass
    assert COUNTED[name](tmp_path) == []
    assert list(tmp_path.iterdir()) != []


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_left_beside_the_files(name: str, tmp_path: Path) -> None:
    """No .part file stays, and what was written before under the same name is replaced."""
    for _ in range(2):
        with open_writer(name, tmp_path) as writer:
            writer.add(found("x.png", *INSIDE))
    assert COUNTED[name](tmp_path) == [2]
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_objects_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    """Nothing of the time or the folder is in a file."""
    for folder in ("one", "two"):
        with open_writer(name, tmp_path / folder) as writer:
            writer.add(found("x.png", *INSIDE))
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / folder).iterdir()} for folder in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv", "coco"}))
def test_names_csv_leads_from_each_picture_to_its_file(name: str, tmp_path: Path) -> None:
    """Each row's name is a file of the folder, and its image the picture as it was called."""
    images = ["a/x.png", "b/x.png", 'odd, "x"\n.png']
    with open_writer(name, tmp_path) as writer:
        for image in images:
            writer.add(found(image, *INSIDE))
    with open(tmp_path / "names.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == images
    assert all(len(list(tmp_path.glob(f"{row['name']}.*"))) == 1 for row in rows)


def test_an_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    """The sentence lists those that there are."""
    with pytest.raises(ConfigError, match=r"format=xml: expected one of csv, coco, yolo, labels, imagej, geojson"):
        open_writer("xml", tmp_path)


@pytest.mark.parametrize(("name", "package"), [("labels", "tifffile"), ("imagej", "roifile")])
def test_a_missing_library_is_told_before_anything_is_written(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install, and the folder is not made."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{package}.*pip install 'airctl\[formats\]'"):
        open_writer(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_that_cannot_be_written_is_one_sentence(name: str, tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "out").touch()
    with pytest.raises(ConfigError, match="choose another place"):
        open_writer(name, tmp_path / "out")


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a/x.png", "0007_x"),
        ("x.tif[3]", "0007_x"),
        ("=1+1, 'é'\n.png", "0007__1_1_"),
        ("../..", "0007_.."),
        ("C:\\pictures\\x y.png", "0007_C_pictures_x_y"),
        (".png", "0007_.png"),
        (f"{'x' * 300}.png", f"0007_{'x' * 80}"),
    ],
)
def test_file_names_are_harmless(image: str, name: str) -> None:
    """Letters, digits, dots, - and _ after the number, and not too many of them."""
    assert file_name(7, image) == name


def test_file_names_stay_apart_beyond_four_digits() -> None:
    """100 000 pictures of one name have as many names, on a disk that ignores case as well."""
    images = ("x.png", "X.png", "2_x.png")
    assert len({file_name(n, images[n % 3]).lower() for n in range(1, 100_001)}) == 100_000


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ((1.5, 2.5, 3.5, 4.5), (1.5, 2.5, 3.5, 4.5)),
        ((-1.0, -2.0, 70.0, 50.0), (0, 0, 60, 40)),
        ((70.0, -9.0, 80.0, -4.0), (60, 0, 60, 0)),
    ],
)
def test_clipped_keeps_what_is_inside(box: tuple[float, float, float, float], part: tuple[float, ...]) -> None:
    """Inside nothing changes, across the border the rest goes, and outside a box becomes a point of the border."""
    assert clipped(box, found("x.png")) == part


def test_a_writer_is_closed_by_with_also_after_an_error(tmp_path: Path) -> None:
    """The error goes on, and close was called."""
    closed = []

    class Told(Writer):
        def add(self, found: object) -> None:
            raise ZeroDivisionError

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(ZeroDivisionError), Told(tmp_path) as writer:
        writer.add(found("x.png"))
    assert closed == [True]
