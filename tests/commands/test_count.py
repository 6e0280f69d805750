"""count: from pictures to numbers without a model; what is written, what is said, and what stops it."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import crops

from airctl import commands
from airctl.cli.progress import TrainingBar
from airctl.commands import count as module
from airctl.commands.count import STEPS, count, recipe
from airctl.commands.import_pictures import import_pictures
from airctl.errors import ConfigError, InputFileError
from airctl.results.training import TrainResult
from airctl.training import Progress, RunFolder

assert commands


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few scenes and a small model, whatever is asked for."""
    monkeypatch.setattr(module, "import_pictures", partial(import_pictures, train=360, test=4))
    monkeypatch.setattr(module, "recipe", lambda seed, steps: crops(f"train.seed={seed}", f"train.steps={steps}"))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_whole_way(quick: None, photos: Path, tmp_path: Path, airctl) -> None:
    """Scenes, preview, run, tables, pictures and page; lines of JSON; the run counts further pictures at once."""
    out = tmp_path / "found"
    words = ["count", photos, "-o", out, "--steps", 5, "--seed", 3, "--threads", 1, "--format", "coco", "--json"]
    code, told, err = airctl(*words)
    assert code == 0, err
    rows = [json.loads(line) for line in told.splitlines()]
    assert [Path(one["image"]).name for one in rows] == ["0.png", "1.png", "2.png"]
    names = {path.name for path in out.iterdir()}
    assert names >= {"scenes.h5", "preview.png", "run", "counts.csv", "objects.csv", "counts.html", "coco"}
    assert {"0001_0.png", "0001_0_model.png", "0003_2.png"} <= names
    assert [line["count"] for line in table(out / "counts.csv")] == [str(one["count"]) for one in rows]
    assert len(table(out / "objects.csv")) == sum(one["count"] for one in rows)
    config = RunFolder(out / "run").config()
    assert (config.train.seed, config.train.steps) == (3, 5)
    assert 15 < config.picture.object_size < 25
    assert "3 pictures, objects of" in err
    code, again, err = airctl("count", photos, "-o", tmp_path / "more", "--run", out / "run", "--json")
    assert code == 0, err
    assert [json.loads(line) for line in again.splitlines()] == rows
    assert not (tmp_path / "more/run").exists()
    assert not (tmp_path / "more/scenes.h5").exists()


def test_the_same_seed_counts_alike_and_force_starts_anew(quick: None, photos: Path, tmp_path: Path, airctl) -> None:
    """Into the same folder: refused, and with --force all of it is made again."""
    words = ["count", photos, "-o", tmp_path / "found", "--steps", 4, "--threads", 1, "--json"]
    first = airctl(*words)
    assert first[0] == 0
    code, out, err = airctl(*words)
    assert (code, out) == (2, "")
    assert "say --force to write into it" in err
    assert airctl(*words, "--force")[:2] == first[:2]
    assert airctl(*words, "--force", "--seed", 1)[1] != first[1]


def test_wishes_are_obeyed(quick: None, photos: Path, tmp_path: Path) -> None:
    """Size, polarity and channel reach the config; objects can be left out."""
    how = {"object_size": 30.0, "invert": "yes", "channel": "red", "background": "none"}
    found = list(count([photos], tmp_path / "a", steps=2, threads=1, min_score=1.0, **how))
    picture = RunFolder(tmp_path / "a/run").config().picture
    assert {name: getattr(picture, name) for name in how} == how
    assert all(box.probability == 1 for one in found for box in one.boxes)


def test_a_picture_without_objects_is_0_and_no_error(quick: None, photos: Path, tmp_path: Path) -> None:
    """Among others, or alone if its size is said; alone without a size, a sentence asks for it."""
    blank = tmp_path / "blank.png"
    Image.fromarray(np.full((90, 100), 60, np.uint8)).save(blank)
    found = list(count([photos, blank], tmp_path / "a", steps=2, threads=1))
    assert [one.count for one in found][3:] == [0]
    assert [one.count for one in count([blank], tmp_path / "b", run=tmp_path / "a/run")] == [0]
    assert [one.count for one in count([blank], tmp_path / "c", object_size=20.0, steps=2, threads=1)] == [0]
    with pytest.raises(ConfigError, match="say with object_size=PIXELS"):
        list(count([blank], tmp_path / "d", steps=2, threads=1))


def test_a_stop_counts_nothing_and_can_be_gone_on_with(quick: None, photos: Path, tmp_path: Path) -> None:
    """A signal after the second step: the run is saved, how it ended is told, and no table is written."""
    ended: list[TrainResult] = []

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    assert list(count([photos], tmp_path / "a", threads=1, on_progress=stop, trained=ended.append)) == []
    assert [(one.stopped_by, one.steps) for one in ended] == [(signal.SIGINT, 2)]
    assert not (tmp_path / "a/counts.csv").exists()
    assert (tmp_path / "a/run/checkpoints/step_00000002").is_dir()


def test_ctrl_c_is_exit_130_and_says_how_to_go_on(
    quick: None, photos: Path, tmp_path: Path, airctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing on stdout; the sentence names the command and the run."""
    shown: Callable[[TrainingBar, Progress], None] = TrainingBar.__call__

    def stop(bar: TrainingBar, progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        shown(bar, progress)

    monkeypatch.setattr(TrainingBar, "__call__", stop)
    code, out, err = airctl("count", photos, "-o", tmp_path / "a", "--steps", 4, "--threads", 1)
    assert (code, out) == (130, "")
    assert f"airctl train --run {tmp_path / 'a/run'} --resume goes on" in err
    monkeypatch.setattr(TrainingBar, "__call__", shown)
    code, _, err = airctl("train", "--run", tmp_path / "a/run", "--resume", "--threads", 1)
    assert code == 0, err
    assert airctl("count", photos, "-o", tmp_path / "b", "--run", tmp_path / "a/run")[0] == 0


def test_what_is_no_picture_is_told_in_one_sentence(quick: None, photos: Path, tmp_path: Path, airctl) -> None:
    """No file of that name, a folder without pictures, a damaged file; good pictures beside it are counted."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for name in ("none.png", "empty", "bad.png", "*.tif"):
        code, out, err = airctl("count", tmp_path / name, "-o", tmp_path / "found")
        assert code in (2, 3), err
        assert out == ""
        assert 1 <= len([line for line in err.splitlines() if line.startswith("airctl: ")]) <= 2
        assert not (tmp_path / "found/run").exists()
    with pytest.raises(InputFileError, match=r"none\.png"):
        list(count([tmp_path / "none.png"], tmp_path / "found"))
    assert airctl("count")[0] == 2
    words = ["-o", tmp_path / "b", "--steps", 2, "--threads", 1, "--json"]
    code, out, err = airctl("count", photos, tmp_path / "bad.png", *words)
    assert (code, len(out.splitlines())) == (3, 3), err
    assert err.count("bad.png: cannot be read as a picture") == 1


def test_the_recipe_is_preset_fast_with_what_was_asked_for() -> None:
    """Seed and steps; the schedules of fast are shares of the training."""
    config = recipe(5, 70)
    assert (config.preset, config.train.seed, config.train.steps) == ("fast", 5, 70)
    assert recipe().train.steps == STEPS


@pytest.mark.parametrize("size", ["0", "-3", "nan", "inf", "x", "1e9"])
def test_a_size_that_is_none_is_refused(size: str, photos: Path, airctl) -> None:
    """By the command line, before anything is read."""
    code, _, err = airctl("count", photos, "--object-size", size)
    assert code == 2
    assert "is no size: expected a number of pixels, or auto" in err
