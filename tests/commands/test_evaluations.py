"""No evaluation replaces another one, and each says what it was made of."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import airctl as library
from airctl.commands.evaluate import kept
from airctl.errors import InputFileError
from airctl.results import evaluation as results
from airctl.scenes import SceneSpec


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "other scenes.h5"
    library.generate(str(path), SceneSpec(train=4, test=6, seed=5), digits="font", say=lambda message: None)
    return path


def test_each_has_a_name_of_its_own(run: Path, other: Path) -> None:
    """Data, split, steps, search, checkpoint and seed are in the name where they are not the defaults."""
    sha256 = hashlib.sha256(other.read_bytes()).hexdigest()
    library.evaluate(run)
    first = (run / "eval-test.json").read_bytes()
    library.evaluate(run, data=other)
    library.evaluate(run, split="train", num_steps=5, checkpoint="0", seed=2)
    names = {path.stem for path in run.glob("eval*.json")}
    assert names == {
        "eval-test",
        f"eval-test-other_scenes-{sha256[:8]}",
        "eval-train-steps=5-checkpoint=0-seed=2",
    }
    assert (run / "eval-test.json").read_bytes() == first
    for name in names:
        gallery = run / f"gallery{name.removeprefix('eval')}.json"
        assert json.loads(gallery.read_text())["step"] == json.loads((run / f"{name}.json").read_text())["step"]
        assert (run / f"{name}.md").exists()
    assert (run / f"figures/eval-test-other_scenes-{sha256[:8]}/confusion.png").exists()


def test_it_carries_the_sha256_of_data_and_weights(run: Path, data: Path) -> None:
    """Those of the very files; a link to the run's own data is its own data."""
    copy = shutil.copy(data, run.parent / "copy.h5")
    result = library.evaluate(run, data=copy)
    weights = run / "checkpoints/step_00000012/model.safetensors"
    assert result.data_sha256 == hashlib.sha256(data.read_bytes()).hexdigest()
    assert result.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert kept(run) == result


def older(run: Path) -> dict:
    """The run's evaluation as it was written before there was a schema."""
    told = json.loads((run / "eval-test.json").read_text())
    for key in ("schema", "data_sha256", "weights_sha256", "checkpoint"):
        del told[key]
    told["outcomes"] = {name.replace("_", " "): share for name, share in told["outcomes"].items()}
    gallery = json.loads((run / "gallery-test.json").read_text())
    del gallery["schema"]
    for scene in gallery["scenes"]:
        scene["outcome"] = scene["outcome"].replace("_", " ")
    (run / "eval.json").write_text(json.dumps(told))
    (run / "gallery.json").write_text(json.dumps(gallery))
    for name in ("eval-test.json", "gallery-test.json"):
        (run / name).unlink()
    return told


def test_an_evaluation_of_an_older_airctl_is_read(run: Path) -> None:
    """eval.json without schema, with spaces in the outcomes: a report shows it and evaluates nothing."""
    new = library.evaluate(run)
    older(run)
    assert kept(run) == replace(new, data_sha256=None, weights_sha256=None)
    library.report(run)
    assert not (run / "eval-test.json").exists()
    (run / "eval.json").write_text(json.dumps({"count_accuracy": 1}))
    with pytest.raises(InputFileError, match=r"eval.json: .* is missing: .*; delete it, or evaluate it again"):
        library.report(run)


def test_a_report_of_unlike_evaluations_says_so(airctl, run: Path, other: Path, tmp_path: Path) -> None:
    """Two runs counted on different scenes are set side by side, with a sentence; two on the same are not warned of."""
    second = shutil.copytree(run, tmp_path / "second")
    library.evaluate(run)
    told = json.loads((run / "data.json").read_text())
    sha256 = hashlib.sha256(other.read_bytes()).hexdigest()
    (second / "data.json").write_text(json.dumps(told | {"path": str(other), "sha256": sha256}))
    code, _, err = airctl("report", run, second, "-o", tmp_path / "both.html")
    assert code == 0
    assert "these runs were evaluated on different scene files: sha256 " in err
    code, _, err = airctl("report", run, second, "-o", tmp_path / "same.html", "--data", other)
    assert (code, err) == (0, "")


def test_what_cannot_be_compared_is_named(run: Path) -> None:
    """Scene file, split and steps, each in its own sentence."""
    one = library.evaluate(run)
    assert results.unlike([one, one]) == []
    two = replace(one, split="train", num_steps=9, data_sha256="0" * 64)
    assert len(results.unlike([one, two])) == 3


def test_data_that_is_not_the_runs_is_told(airctl, run: Path, other: Path, tmp_path: Path) -> None:
    """The file under the run's path has another sha256: eval goes on and says so; gone: --data and the sha256."""
    told, place = json.loads((run / "data.json").read_text()), tmp_path / "scenes.h5"
    shutil.copy(other, place)
    (run / "data.json").write_text(json.dumps(told | {"path": str(place)}))
    code, out, err = airctl("eval", run, "--json")
    assert code == 0
    assert json.loads(out)["scenes"] == 6
    assert f"is not the file that {run} was trained on: expected sha256 {told['sha256']}" in err
    assert not (run / "eval-test.json").exists(), "it is not an evaluation of the run's own data"
    place.unlink()
    code, out, err = airctl("eval", run)
    assert (code, out) == (3, "")
    assert f"is gone: say where it is with --data FILE (expected sha256 {told['sha256']})" in err


def test_an_estimator_that_is_unknown_here_stops_no_evaluation(airctl, run: Path, data: Path) -> None:
    """eval, infer, preview, info, report and export need the model alone; training and its own variance do not go."""
    config = run / "config.toml"
    config.write_text(config.read_text().replace('"score-function-neural"', '"of-tomorrow"'))
    for words in (
        ["eval", run],
        ["infer", run, data],
        ["preview", run],
        ["info", run],
        ["report", run],
        ["export", run, "-o", run / "a.airctl"],
        ["variance-report", run, "--samples", 4, "--batch", 4, "--estimators", "exact"],
    ):
        assert airctl(*words)[0] == 0, words
    code, _, err = airctl("train", "--run", run, "--resume")
    assert code == 2
    assert "there is no estimator 'of-tomorrow'" in err
