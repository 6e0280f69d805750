"""generate-cells: the tables are those of the pictures, the same options give the same bytes, no file is lost."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import airctl as library
from airctl.commands import generate_cells as command
from airctl.errors import ConfigError
from airctl.scenes.own_pictures import read_scenes

SMALL: dict[str, Any] = {"pictures": 4, "cells": (3, 12), "size": (90, 60), "diameter": 10, "dark": "none", "seed": 2}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_tables_are_those_of_the_pictures(tmp_path: Path) -> None:
    """A row a picture with its count, as many boxes, each brighter inside than its picture; and so says the result."""
    made = library.generate_cells(tmp_path / "a/b", **SMALL | {"noise": 0})
    counts = {row["image"]: int(row["count"]) for row in rows(tmp_path / "a/b/counts.csv")}
    boxes = rows(tmp_path / "a/b/boxes.csv")
    assert list(counts) == [f"cells-00{i}.png" for i in range(4)]
    assert (made.pictures, made.counts, made.cells, made.dark) == (4, list(counts.values()), len(boxes), 0)
    assert all(3 <= count <= 12 for count in counts.values())
    assert len(set(counts.values())) > 1
    for name, count in counts.items():
        pixels = np.asarray(Image.open(tmp_path / "a/b" / name))
        assert (pixels.shape, pixels.dtype) == ((60, 90), np.uint8)
        own = [[float(row[edge]) for edge in ("x0", "y0", "x1", "y1")] for row in boxes if row["image"] == name]
        assert len(own) == count
        for x0, y0, x1, y1 in own:
            assert pixels[int((y0 + y1) / 2), int((x0 + x1) / 2)] > pixels.mean() + 10


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    """Of every file; another seed gives others, and more pictures begin with the same ones."""
    for name, options in {"a": {}, "b": {}, "c": {"seed": 3}, "d": {"pictures": 6}}.items():
        library.generate_cells(tmp_path / name, **SMALL | {"dark": "some"} | options)
    first = content(tmp_path / "a")
    assert content(tmp_path / "b") == first
    assert content(tmp_path / "c") != first
    more = content(tmp_path / "d")
    assert len(more) == 8
    assert all(more[name] == data for name, data in first.items() if name.endswith(".png"))


def test_sixteen_bits_come_back_from_the_file(tmp_path: Path) -> None:
    """All 16 of them, equal to the 8 of the same seed to a step; airctl reads all, the brightest is white."""
    for bits in (8, 16):
        library.generate_cells(tmp_path / str(bits), bits=bits, **SMALL)
    fine = np.asarray(Image.open(tmp_path / "16/cells-000.png"))
    assert fine.dtype == np.uint16
    assert len(np.unique(fine)) > 1000
    coarse = np.asarray(Image.open(tmp_path / "8/cells-000.png"))
    assert np.abs(fine / 65535 - coarse / 255).max() < 0.6 / 255
    (picture,) = read_scenes([tmp_path / "16/cells-000.png"])
    assert np.array_equal(picture.values, fine)
    assert np.abs(picture.pixels - fine * (255 / fine.max())).max() <= 0.51


@pytest.mark.parametrize(("dark", "expected"), [("none", range(0, 1)), ("some", range(1, 20)), ("all", range(20, 21))])
def test_as_many_pictures_are_dark_as_asked_for(dark: str, expected: range, tmp_path: Path) -> None:
    """Dark ones have a bright ground, and the result says how many there are."""
    made = library.generate_cells(tmp_path / "a", **SMALL | {"pictures": 20, "dark": dark})
    pixels = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "a").glob("*.png"))]
    assert made.dark == sum(float(np.median(one)) > 127 for one in pixels)
    assert made.dark in expected


def test_a_folder_that_holds_something_needs_force(tmp_path: Path) -> None:
    """Without it nothing changes; with it pictures of cells and tables are replaced, surplus ones too, others stay."""
    out = tmp_path / "a"
    library.generate_cells(out, **SMALL)
    (out / "notes.txt").write_text("mine")
    (out / "cells-mine.png").write_text("mine")
    before = content(out)
    with pytest.raises(ConfigError, match="is not empty: say force=True"):
        library.generate_cells(out, **SMALL | {"seed": 5})
    assert content(out) == before
    library.generate_cells(out, **SMALL | {"seed": 5, "pictures": 2}, force=True)
    assert set(before) - set(content(out)) == {"cells-002.png", "cells-003.png"}
    assert [row["image"] for row in rows(out / "counts.csv")] == ["cells-000.png", "cells-001.png"]
    assert content(out)["cells-000.png"] != before["cells-000.png"]
    assert content(out)["notes.txt"] == content(out)["cells-mine.png"] == b"mine"


@pytest.mark.parametrize(
    "options", [{"cells": (500, 500)}, {"noise": 2}, {"bits": 12}, {"dark": "no"}, {"pictures": 0}]
)
def test_what_cannot_be_made_leaves_the_folder_alone(options: dict[str, Any], tmp_path: Path) -> None:
    """Even with --force: what is there is replaced only by something, and a new folder is not made."""
    library.generate_cells(tmp_path / "a", **SMALL)
    before = content(tmp_path / "a")
    for folder in ("a", "new"):
        with pytest.raises(ConfigError):
            library.generate_cells(tmp_path / folder, **SMALL | options, force=True)
    assert content(tmp_path / "a") == before
    assert not (tmp_path / "new").exists()


def test_a_stopped_command_leaves_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with counts.csv is complete: the old tables go before the first new picture."""
    library.generate_cells(tmp_path / "a", **SMALL)
    written = []

    def stop(path: Path, data: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)

    monkeypatch.setattr(command, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        library.generate_cells(tmp_path / "a", **SMALL, force=True)
    assert not list((tmp_path / "a").glob("*.csv"))


@pytest.mark.parametrize(("text", "expected"), [("40..300", (40, 300)), ("7", (7, 7)), ("0..0", (0, 0))])
def test_numbers_of_cells_are_read(text: str, expected: tuple[int, int]) -> None:
    """A range or one number; anything else is refused."""
    assert command.parse_cells(text) == expected
    for wrong in (f"{text}..", f"-{text}", f"{text}x", ""):
        with pytest.raises(ConfigError, match="expected something like"):
            command.parse_cells(wrong)


def test_sizes_are_read() -> None:
    """Width x height; anything else is refused."""
    assert command.parse_size("600x400") == (600, 400)
    for wrong in ("600", "600x", "600x400x3", "6 x 4", "-6x4"):
        with pytest.raises(ConfigError, match="expected WIDTHxHEIGHT"):
            command.parse_size(wrong)


def test_the_command_takes_what_the_function_takes(airctl: Any, tmp_path: Path) -> None:
    """The same files, one JSON object, and one line without --json."""
    words = "--pictures 4 --cells 3..12 --size 90x60 --diameter 10 --dark none --seed 2 --bits 16 --touch 1 --noise 0.1"
    code, out, err = airctl("generate-cells", tmp_path / "a", *words.split(), "--json")
    assert (code, err) == (0, "")
    made = library.generate_cells(tmp_path / "b", **SMALL, bits=16, touch=1, noise=0.1)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert json.loads(out)["counts"] == made.counts
    code, out, _ = airctl("generate-cells", tmp_path / "a", *words.split(), "--force")
    assert (code, len(out.splitlines())) == (0, 1)
    assert f"4 pictures of 90x60 pixels with {made.cells} cells" in out
