"""infer's files: tables that go on where they were cut, parts of a folder, formats, folders that are not empty."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airctl.commands.found_files import FoundFiles, key, mended
from airctl.commands.infer import infer
from airctl.commands.loaded import load
from airctl.errors import ConfigError, InputFileError
from airctl.formats.csv_tables import CsvTables
from airctl.formats.rows import row
from airctl.inference import pictures
from airctl.results.found import FoundObject, FoundPicture
from airctl.scenes import read_scenes

NAMES = ("a.png", 'b,"q".png', "new\nline.png", "=sum.png", "é\x85\u2028.png", "image", "stack.npy[0]", "x\udcff.png")
TABLES = ("counts.csv", "objects.csv")
ORIGIN = "origin.json"


def picture(name: str, count: int) -> FoundPicture:
    boxes = [FoundObject((1.5 * i, 2.0, 3.0 + i, 4.0), 0.5) for i in range(count)]
    return FoundPicture(name, count, 20, 10, 0.75, False, "fine", 0, [0.25] * 4, boxes)


FOUND = [picture(name, number % 4) for number, name in enumerate(NAMES, 1)]


def write(folder: Path, resume: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    done = mended(folder) if resume else set()
    with CsvTables(folder, resume) as tables:
        for found in FOUND:
            if key(found.image) not in done:
                tables.add(found)


def contents(folder: Path) -> list[list[str]]:
    """The rows of both tables, the header first and the others in an order of their own."""
    parts = []
    for name in TABLES:
        with open(folder / name, encoding="utf-8", newline="") as stream:
            head, *rows = csv.reader(stream)
        parts.append([head, *sorted(rows)])
    return parts  # type: ignore[return-value]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "whole"
    write(folder)
    return folder


@pytest.mark.parametrize("cut", TABLES)
def test_tables_that_were_cut_anywhere_are_gone_on_with(cut: str, tables: Path, tmp_path: Path) -> None:
    """At every byte of either table: no row is lost, doubled or changed, in the middle of a letter too."""
    wanted, content = contents(tables), (tables / cut).read_bytes()
    for end in range(len(content) + 1):
        folder = tmp_path / "cut"
        shutil.copytree(tables, folder, dirs_exist_ok=True)
        (folder / cut).write_bytes(content[:end])
        write(folder, resume=True)
        assert contents(folder) == wanted, end


def test_a_run_that_was_killed_between_any_two_writes_ends_with_the_same_bytes(tables: Path, tmp_path: Path) -> None:
    """Objects are written before their count: both tables as they were after each of the writes, byte for byte."""
    lines: list[tuple[str, str]] = []
    for found in FOUND:
        lines += [
            ("objects.csv", row(found.image, i, *thing.box, thing.probability))
            for i, thing in enumerate(found.boxes, 1)
        ]
        lines.append(("counts.csv", row(found.image, found.count, found.fit, False, found.verdict, 0.25)))
    heads = {name: (tables / name).read_text().splitlines(keepends=True)[0] for name in TABLES}
    for done in range(len(lines) + 1):
        folder = tmp_path / str(done)
        folder.mkdir()
        for name in TABLES:
            (folder / name).write_text(heads[name] + "".join(text for to, text in lines[:done] if to == name))
        write(folder, resume=True)
        for name in TABLES:
            assert (folder / name).read_bytes() == (tables / name).read_bytes(), done


def test_whole_tables_are_left_as_they_are(tables: Path, tmp_path: Path) -> None:
    """Mending changes no byte of them; nothing is wanted again; an empty folder has nothing done."""
    folder = shutil.copytree(tables, tmp_path / "again")
    assert mended(folder) == {key(name) for name in NAMES}
    for name in TABLES:
        assert (folder / name).read_bytes() == (tables / name).read_bytes()
    assert mended(tmp_path) == set()


@pytest.mark.parametrize(
    "content", [b"hello\n", b"image,number\na,1\n", b"\xff\xfe\n", row("image", "count").encode(), b"\0" * 60 + b"\n"]
)
@pytest.mark.parametrize("name", TABLES)
def test_another_table_is_refused_and_kept(name: str, content: bytes, tables: Path, tmp_path: Path) -> None:
    """Someone else's file of that name, in one sentence."""
    folder = shutil.copytree(tables, tmp_path / "other")
    (folder / name).write_bytes(content)
    with pytest.raises(InputFileError, match=name) as refused:
        mended(folder)
    assert "\n" not in str(refused.value)
    assert (folder / name).read_bytes() == content


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Twelve pictures, of which a blank one, and one that is no picture."""
    made = tmp_path_factory.mktemp("many")
    sources = [one.values for one in read_scenes([photos])]
    for number in range(11):
        part = sources[number % 3][number * 3 :, number:]
        Image.fromarray(part).save(made / f"{number:02d}.png")
    Image.fromarray(np.full((60, 70), 90, np.uint8)).save(made / "blank.png")
    return made


def test_csv_writes_just_the_tables(learnt: Path, folder: Path, tmp_path: Path, airctl) -> None:
    """Rows as the JSON lines have them; a blank picture is a 0."""
    code, out, err = airctl("infer", learnt, folder, "--csv", "-o", tmp_path / "out", "--json")
    assert code == 0, err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*TABLES, ORIGIN]
    rows = [json.loads(line) for line in out.splitlines()]
    counts, objects = contents(tmp_path / "out")
    assert [line[:2] for line in counts[1:]] == [[one["image"], str(one["count"])] for one in rows]
    assert len(objects) - 1 == sum(one["count"] for one in rows) > 0
    assert rows[-1]["count"] == 0


def test_a_run_that_was_cut_goes_on(learnt: Path, folder: Path, tmp_path: Path, airctl) -> None:
    """--resume looks only at what is missing, and the tables are those of a run that was not stopped."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert airctl("infer", learnt, folder, "--csv", "-o", whole)[0] == 0
    shutil.copytree(whole, cut)
    for name, end in (("counts.csv", 300), ("objects.csv", -20)):
        (cut / name).write_bytes((whole / name).read_bytes()[:end])
    assert airctl("infer", learnt, folder, "--csv", "-o", cut)[0] == 2, "not without --resume"
    code, out, _ = airctl("infer", learnt, folder, "--csv", "-o", cut, "--resume", "--json")
    assert code == 0
    assert 0 < len(out.splitlines()) < 12
    assert contents(cut) == contents(whole)
    code, out, _ = airctl("infer", learnt, folder, "--csv", "-o", cut, "--resume", "--json")
    assert (code, out) == (0, "")
    code, _, err = airctl("infer", learnt, folder, "--format", "coco", "-o", cut, "--resume")
    assert code == 2
    assert "only CSV tables can be gone on with" in err


def test_shards_are_a_partition(learnt: Path, folder: Path, tmp_path: Path, airctl) -> None:
    """Each picture, and each picture of a stack, is in exactly one of the parts."""
    np.save(tmp_path / "stack.npy", np.zeros((20, 8, 8), np.uint8))
    sources = [folder, tmp_path / "stack.npy"]
    model = load(learnt)
    names = [one.name for one in read_scenes(sources)]
    parts = [[one.image for one in infer(model, sources, shard=(i, 3))] for i in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert all(parts)
    assert [one.image for one in infer(model, sources, shard=(2, 3))] == parts[1]
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        code, _, err = airctl("infer", learnt, folder, "--shard", wrong)
        assert code == 2
        assert "is no part: expected I/N" in err
    with pytest.raises(ConfigError, match="shard=4/3"):
        infer(model, sources, shard=(4, 3))


def test_each_format_has_a_folder(learnt: Path, folder: Path, tmp_path: Path, airctl) -> None:
    """And CSV lies in the folder itself; an unknown one is answered with those there are."""
    out = tmp_path / "out"
    code, _, err = airctl("infer", learnt, folder / "00.png", "-o", out, "--format", "coco,csv,yolo")
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == {"coco", "yolo", *TABLES, ORIGIN}
    code, _, err = airctl("infer", learnt, folder / "00.png", "-o", tmp_path / "b", "--format", "cooc")
    assert code == 2
    assert "--format cooc: expected some of csv" in err
    assert airctl("infer", learnt, folder, "--csv")[0] == 2


def test_a_folder_that_is_not_empty_is_refused(learnt: Path, folder: Path, tmp_path: Path, airctl) -> None:
    """Unless with --force; a file is no folder."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    words = ["infer", learnt, folder / "00.png", "-o"]
    code, out, err = airctl(*words, tmp_path / "out")
    assert (code, out) == (2, "")
    assert "say --force to write into it" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert airctl(*words, tmp_path / "out", "--force")[0] == 0
    assert (tmp_path / "out/mine.txt").read_text() == "mine"
    assert airctl(*words, tmp_path / "out/mine.txt")[0] == 2


def test_a_count_that_cannot_be_trusted_is_exit_8_if_asked_for(
    learnt: Path, folder: Path, tmp_path: Path, airctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named on stderr in any case, and counted in any case; a bad file does not hide it."""
    seen = folder / "00.png"
    fine = airctl("infer", learnt, seen, "--strict", "--json")
    assert (fine[0], json.loads(fine[1])["verdict"]) in ((0, "fine"), (8, "at_limit"))
    monkeypatch.setattr(pictures, "verdict", lambda *arguments: "unlike")
    code, out, err = airctl("infer", learnt, seen, "--json")
    assert code == 0
    assert json.loads(out)["verdict"] == "unlike"
    assert "00.png: counted" in err
    (tmp_path / "bad.png").write_bytes(b"no picture")
    code, out, err = airctl("infer", learnt, seen, tmp_path / "bad.png", "--json", "--strict")
    assert (code, len(out.splitlines())) == (8, 1)
    assert "1 of 1 counts cannot be trusted" in err
    assert airctl("infer", learnt, seen, tmp_path / "bad.png")[0] == 3


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Nor can other formats be gone on with."""
    with pytest.raises(ConfigError, match="expected some of"):
        FoundFiles(tmp_path, ["cooc"])
    with pytest.raises(ConfigError, match="only CSV"):
        FoundFiles(tmp_path, ["coco"], resume=True)
    assert list(tmp_path.iterdir()) == []
