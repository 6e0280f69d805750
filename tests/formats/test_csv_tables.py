"""counts.csv and objects.csv: read by the standard library and by pandas, row by row, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import math
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
from samples import ACROSS, INSIDE, found

from airctl.errors import InputFileError
from airctl.formats.csv_tables import CsvTables
from airctl.formats.rows import row


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


def test_boxes_come_back_through_pandas(tmp_path: Path) -> None:
    """Edges and probabilities are the same numbers, also where they lie outside the picture."""
    with CsvTables(tmp_path) as tables:
        tables.add(found("x.png", *INSIDE, ACROSS))
    objects = pandas.read_csv(tmp_path / "objects.csv")
    assert list(objects) == ["image", "object", "x0", "y0", "x1", "y1", "probability"]
    assert [tuple(r) for r in objects[["x0", "y0", "x1", "y1"]].to_numpy()] == [*INSIDE, ACROSS]
    assert objects["object"].tolist() == [1, 2, 3]
    assert objects["probability"].tolist() == [0.99, 0.98, 0.97]


def test_counts_has_each_picture(tmp_path: Path) -> None:
    """With the probability of the count itself; at_limit is a truth value to pandas."""
    with CsvTables(tmp_path) as tables:
        tables.add(found("x.png", *INSIDE))
        tables.add(replace(found("empty.png"), at_limit=True, verdict="at_limit", fit=-0.5))
    counts = pandas.read_csv(tmp_path / "counts.csv")
    assert counts.to_dict("records") == [
        {"image": "x.png", "count": 2, "fit": 0.93, "at_limit": False, "verdict": "fine", "probability": 0.8},
        {"image": "empty.png", "count": 0, "fit": -0.5, "at_limit": True, "verdict": "at_limit", "probability": 0.9},
    ]
    assert counts["at_limit"].dtype == bool


def test_what_is_not_known_is_an_empty_cell(tmp_path: Path) -> None:
    """A fit that is no number, and the probability of a count that none is given for."""
    with CsvTables(tmp_path) as tables:
        tables.add(replace(found("x.png", *INSIDE), fit=math.nan, first=7))
    (cells,) = rows_of(tmp_path / "counts.csv")
    assert (cells["fit"], cells["probability"], cells["count"]) == ("", "", "2")


def test_rows_are_in_the_files_before_the_writer_is_closed(tmp_path: Path) -> None:
    """A program that watches the file, or one that finds it after a kill, sees each picture once it is added."""
    tables = CsvTables(tmp_path)
    for i in range(1, 4):
        tables.add(found(f"{i}.png", *INSIDE))
        assert [r["image"] for r in rows_of(tmp_path / "counts.csv")] == [f"{j}.png" for j in range(1, i + 1)]
        assert len(rows_of(tmp_path / "objects.csv")) == 2 * i
    tables.close()


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """After ten thousand more rows no more is held than after the first ten."""
    picture = found("x.png", *INSIDE * 10)
    with CsvTables(tmp_path) as tables:
        for _ in range(10):
            tables.add(picture)
        tracemalloc.start()
        try:
            for _ in range(500):
                tables.add(picture)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 50_000 < (tmp_path / "objects.csv").stat().st_size


def test_a_second_run_goes_on_below_the_first(tmp_path: Path) -> None:
    """With resume there is one header and the rows of both; without, the tables are new."""
    for image, resume in (("a.png", True), ("b.png", True)):
        with CsvTables(tmp_path, resume=resume) as tables:
            tables.add(found(image, *INSIDE))
    assert [r["image"] for r in rows_of(tmp_path / "counts.csv")] == ["a.png", "b.png"]
    assert len(rows_of(tmp_path / "objects.csv")) == 4
    with CsvTables(tmp_path) as tables:
        tables.add(found("c.png", *INSIDE))
    assert [r["image"] for r in rows_of(tmp_path / "counts.csv")] == ["c.png"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name,price\nx,3\n", "does not begin with the row image,count"),
        ("", "does not begin with the row image,count"),
        ("image,count,fit,at_limit,verdict,probability\nx.png,2,0.", "ends within a row"),
    ],
)
def test_resume_leaves_other_tables_alone(tmp_path: Path, content: str, sentence: str) -> None:
    """Somebody else's counts.csv, and one that a loss of power has cut, are named and not touched."""
    (tmp_path / "counts.csv").write_text(content)
    with pytest.raises(InputFileError, match=sentence):
        CsvTables(tmp_path, resume=True)
    assert (tmp_path / "counts.csv").read_text() == content


@pytest.mark.parametrize(
    "image",
    ["plain.png", "a,b.png", 'a"b".png', "a\nb.png", "a\rb.png", "a\r\nb.png", " x.png", "é µ.png", "a;b\tc.png"],
)
def test_names_come_back_as_they_were(tmp_path: Path, image: str) -> None:
    """Commas, quotes and line ends within a name do not end its cell, to csv and to pandas."""
    with CsvTables(tmp_path) as tables:
        tables.add(found(image, *INSIDE))
        tables.add(found("next.png"))
    assert [r["image"] for r in rows_of(tmp_path / "counts.csv")] == [image, "next.png"]
    assert pandas.read_csv(tmp_path / "objects.csv", lineterminator="\n")["image"].tolist() == [image] * 2


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d"])
def test_no_name_is_a_formula(tmp_path: Path, first: str) -> None:
    """The cell begins with an apostrophe, and taking one away gives the name."""
    image = f"{first}HYPERLINK(1).png"
    with CsvTables(tmp_path) as tables:
        tables.add(found(image, INSIDE[0]))
    cells = [rows_of(tmp_path / name)[0]["image"] for name in ("counts.csv", "objects.csv")]
    assert cells == [f"'{image}"] * 2


def test_numbers_below_zero_stay_numbers(tmp_path: Path) -> None:
    """Negative control: the minus of a number gets no apostrophe."""
    with CsvTables(tmp_path) as tables:
        tables.add(found("x.png", ACROSS))
    assert rows_of(tmp_path / "objects.csv")[0]["x0"] == "-4.3"


def test_a_name_that_is_no_utf_8_does_not_break_the_table() -> None:
    """The byte 0xff of a file name on Linux is written out, and the row can be encoded."""
    assert row(os.fsdecode(b"x\xff.png"), 1) == "x\\udcff.png,1\n"
