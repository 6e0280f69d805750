"""Of a folder with a few bad pictures the rest is counted; a choice without an effect is refused before any work."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import crops

from airctl.commands import count as module
from airctl.commands.import_pictures import import_pictures


@pytest.fixture
def mixed(photos: Path, tmp_path: Path) -> Path:
    """The three photos, a picture smaller than an object, and one that is none."""
    folder = shutil.copytree(photos, tmp_path / "mixed")
    Image.fromarray(np.full((10, 90), 60, np.uint8)).save(folder / "0tiny.png")
    (folder / "1bad.png").write_text("no picture")
    return folder


SENTENCES = ("0tiny.png: objects of 20 pixels do not fit into 90x10", "1bad.png: cannot be read as a picture")


def images(out: str) -> list[str]:
    return [Path(json.loads(line)["image"]).name for line in out.splitlines()]


def test_infer_names_what_a_size_does_not_suit_and_goes_on(airctl, learnt: Path, mixed: Path, tmp_path: Path) -> None:
    """Each is one line on stderr, in the tables are the others, and the exit code is 3, with --strict 8 or 3."""
    words = ["infer", learnt, mixed, "--object-size", 20]
    code, out, err = airctl(*words, "--csv", "-o", tmp_path / "found", "--json")
    assert (code, images(out)) == (3, ["0.png", "1.png", "2.png"])
    assert [err.count(sentence) for sentence in SENTENCES] == [1, 1]
    with open(tmp_path / "found/counts.csv", encoding="utf-8", newline="") as stream:
        assert [Path(row["image"]).name for row in csv.DictReader(stream)] == ["0.png", "1.png", "2.png"]
    code, _, err = airctl(*words, "--strict")
    assert code == (8 if "cannot be trusted" in err else 3)
    code, out, _ = airctl("infer", learnt, mixed, "--json")  # as in training: the size is the model's
    assert (code, len(images(out))) == (3, 4)


def test_count_learns_from_the_others_and_counts_them(
    airctl, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence comes once, though the picture is met twice: for learning and for counting."""
    monkeypatch.setattr(module, "import_pictures", partial(import_pictures, train=360, test=4))
    monkeypatch.setattr(module, "recipe", lambda seed, steps: crops(f"train.seed={seed}", f"train.steps={steps}"))
    words = ["--object-size", 20, "--steps", 2, "--threads", 1, "--json"]
    code, out, err = airctl("count", mixed, "-o", tmp_path / "found", *words)
    assert (code, images(out)) == (3, ["0.png", "1.png", "2.png"]), err
    assert [err.count(sentence) for sentence in SENTENCES] == [1, 1]
    assert "3 pictures, objects of 20 pixels" in err


def test_a_size_that_no_picture_suits_is_said_once(airctl, photos: Path, tmp_path: Path) -> None:
    """Each picture, and that there is none to learn from; nothing is trained."""
    code, out, err = airctl("count", photos, "-o", tmp_path / "found", "--object-size", 500)
    assert (code, out) == (2, "")
    assert err.count("do not fit into 160x130") == 3
    assert "there is no picture to learn from" in err
    assert not (tmp_path / "found/run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--background", "none"], "--background none has no effect"),
        (["--seed", "0"], "--seed 0 has no effect"),
        (["--steps", "9"], "--steps 9 has no effect"),
        (["--object-size", "2"], "too small to have a shape"),
    ],
)
def test_count_with_a_run_refuses_what_only_learning_obeys(
    words: list[str], told: str, airctl, learnt: Path, photos: Path, tmp_path: Path
) -> None:
    """One sentence, exit code 2, and nothing is written."""
    code, out, err = airctl("count", photos, "--run", learnt, "-o", tmp_path / "found", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert not (tmp_path / "found").exists()


def test_count_with_a_run_counts_as_infer_does_what_it_is_told(
    airctl, learnt: Path, photos: Path, tmp_path: Path
) -> None:
    """Polarity and size take effect in both alike."""
    words = ["--invert", "yes", "--json"]
    code, counted, err = airctl("count", photos, "--run", learnt, "-o", tmp_path / "found", "--threads", 1, *words)
    assert code == 0, err
    assert counted == airctl("infer", learnt, photos, *words)[1]
    assert counted != airctl("infer", learnt, photos, "--json")[1]


@pytest.mark.parametrize(
    "words", [["--fill", "0.4"], ["--background", "9"], ["--num-steps", "3"], ["--fit", "pad"], ["--resample", "area"]]
)
def test_infer_refuses_what_a_model_of_pictures_does_not_obey(
    words: list[str], airctl, learnt: Path, photos: Path, tmp_path: Path
) -> None:
    """One sentence, exit code 2, and nothing is written."""
    code, out, err = airctl("infer", learnt, photos, "-o", tmp_path / "found", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{words[0]} {words[1]} has no effect with a model that has learnt from pictures" in err
    assert not (tmp_path / "found").exists()
