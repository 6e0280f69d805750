"""Training on scenes cut out of pictures: the same bytes when resumed, and no accuracy where no count is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from small import crops

import airctl as library
from airctl.commands.train import train
from airctl.errors import ConfigError
from airctl.scenes import picture_of, read_attributes
from airctl.training import RunFolder


def test_there_is_no_accuracy_where_nothing_was_counted(learnt: Path) -> None:
    """The ELBO is measured, the accuracy is null, there are no frames, and no best step."""
    folder = RunFolder(learnt)
    validated = [row for row in folder.read_metrics() if "validation_elbo" in row]
    assert [row["step"] for row in validated] == [4, 6]
    assert all("validation_accuracy" not in row for row in validated)
    told = library.info(learnt)
    assert (told.validation_accuracy, told.best_accuracy, told.best_step, told.step) == (None, None, None, 6)
    assert folder.read_frames() == []


def test_the_run_keeps_how_pictures_were_developed(learnt: Path, imported: Path) -> None:
    """The config's section picture is what the file says, whatever was asked for."""
    assert RunFolder(learnt).config().picture == picture_of(read_attributes(imported)) != library.Config().picture


def test_a_resumed_training_ends_with_the_same_bytes(learnt: Path, imported: Path, tmp_path: Path) -> None:
    """From the checkpoint of step 3; what is usual, learnt at the end, included."""
    again = Path(shutil.copytree(learnt, tmp_path / "again"))
    shutil.rmtree(again / "checkpoints/step_00000006")
    (again / "checkpoints/last").unlink(missing_ok=True)
    weights = "checkpoints/step_00000006/model.safetensors"
    said: list[str] = []
    train(None, again, resume=True, threads=1, say=said.append)
    assert any("resumed at step 3" in sentence for sentence in said)
    assert (again / weights).read_bytes() == (learnt / weights).read_bytes()
    assert json.loads((again / "checkpoints/step_00000006/state.json").read_text())["validation_accuracy"] is None
    other = tmp_path / "other"
    train(imported, other, crops("train.seed=1"), threads=1)
    assert (other / weights).read_bytes() != (learnt / weights).read_bytes()


def test_without_true_counts_nothing_is_evaluated(learnt: Path, data: Path, tmp_path: Path, airctl) -> None:
    """One sentence and exit code 2, for report too; scenes with counts can be evaluated."""
    with pytest.raises(ConfigError, match="has no true counts to compare with") as refused:
        library.evaluate(learnt)
    assert "\n" not in str(refused.value)
    code, out, err = airctl("report", learnt)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "--data FILE" in err
    copy = shutil.copytree(learnt, tmp_path / "run")
    assert library.evaluate(copy, data=data).scenes == 40


def test_info_and_preview_show_an_imported_file(learnt: Path, imported: Path, tmp_path: Path, airctl) -> None:
    """How the pictures were developed; no counts; scenes without boxes, and what a run finds in them."""
    told = library.info(imported)
    assert told.picture["object_size"] > 10  # type: ignore[index]
    assert told.train.counts == [] and told.train.scenes == 500  # noqa: PT018
    code, out, _ = airctl("info", imported)
    assert code == 0
    assert "crops of pictures with objects of" in out
    assert "counts unknown" in out
    code, out, _ = airctl("info", imported, "--json")
    assert json.loads(out)["picture"]["channel"] == "grey"
    for name, path in {"data": imported, "run": learnt}.items():
        code, out, err = airctl("preview", path, "-o", tmp_path / f"{name}.png")
        assert (code, err) == (0, "")
        with Image.open(tmp_path / f"{name}.png") as drawn:
            assert drawn.size[0] > 300


def test_a_file_of_objects_tells_of_no_pictures(data: Path) -> None:
    """The control."""
    assert library.info(data).picture is None
