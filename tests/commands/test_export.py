"""An exported model: one file that every command reads in the place of the run, checked to the last byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

import airctl
from airctl.commands.loaded import SHIPPED, WEIGHTS
from airctl.errors import ConfigError, InputFileError
from airctl.scenes import read_split
from airctl.training import exported


@pytest.fixture(scope="module")
def model(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return airctl.export(str(finished), tmp_path_factory.mktemp("exported") / "digits.airctl")


def test_it_counts_as_the_run_does(model: Path, finished: Path, data: Path, tmp_path: Path) -> None:
    """Evaluation, pictures, preview and variance report give what the run gives; nothing is written beside the file."""
    run = shutil.copytree(finished, tmp_path / "run")
    ours, theirs = airctl.evaluate(model, data=data), airctl.evaluate(run)
    assert (ours.confusion, ours.elbo, ours.outcomes) == (theirs.confusion, theirs.elbo, theirs.outcomes)
    assert ours.weights_sha256 == airctl.info(model).weights_sha256
    assert [f.count for f in airctl.infer(model, [data])] == [f.count for f in airctl.infer(run, [data])]
    pairs = enumerate((model, run))
    drawn = [airctl.draw_run(one, data=data, out=tmp_path / f"{i}.png").read_bytes() for i, one in pairs]
    assert drawn[0] == drawn[1]
    few = {"samples": 4, "batch": 4, "estimators": ["exact"], "data": data}
    reports = [airctl.measure_variance(one, **few) for one in (model, run)]  # type: ignore[arg-type]
    assert len({report.estimators["exact"].total_variance for report in reports}) == 1
    assert [path.name for path in model.parent.iterdir()] == ["digits.airctl"]


def test_it_holds_no_training(model: Path, finished: Path) -> None:
    """Neither optimiser nor baseline; config, step and origin are in its metadata, and info tells them."""
    with safe_open(model, framework="pt") as file:
        names, header = list(file.keys()), json.loads(file.metadata()["airctl"])
    assert names
    assert not [name for name in names if "estimator" in name or "exp_avg" in name]
    assert header["schema"] == 1
    told, run = airctl.info(model), airctl.info(finished)
    assert (told.kind, told.run, told.step, told.changed) == ("model", "finished", 12, run.changed)
    assert (told.data.sha256, told.estimator) == (run.data.sha256, "score-function-neural")
    assert told.data.path == Path(run.data.path).name


def strings_of(value: object) -> Iterator[str]:
    """Each string within a value of JSON."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from strings_of(part)
    if isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", [None, *SHIPPED])
def test_it_tells_no_path_of_the_machine_that_made_it(model: Path, finished: Path, name: str | None) -> None:
    """In no string of its description, of one made here or of one that comes with airctl, is there a folder."""
    assert "/" in json.loads((finished / "data.json").read_text())["path"]  # the control: it was known
    path = model if name is None else WEIGHTS / f"{name}.airctl"
    with safe_open(path, framework="pt") as file:
        told = file.metadata()
    (header,) = map(json.loads, told.values())
    assert [text for text in strings_of(header) if "/" in text or "\\" in text] == []
    assert header["data"]["path"].endswith(".h5")
    assert len(header["data"]["sha256"]) == 64
    assert str(finished.parent).encode() not in path.read_bytes()


def test_an_exported_file_is_written_anew_with_the_same_weights(model: Path, tmp_path: Path) -> None:
    """Also one of before, which told the path: the path goes, all else stays, and so do the bytes of another copy."""
    loaded, header = airctl.load(model), exported.read_header(model)
    older = tmp_path / "older.airctl"
    tensors = {name: tensor.contiguous() for name, tensor in loaded.model.state_dict().items()}
    told = replace(header, data=replace(header.data, path="/home/me/scenes.h5"), sha256="")
    told = replace(told, sha256=exported._digest(told, tensors))
    older.write_bytes(save(tensors, {"airctl": json.dumps({"schema": 1, **asdict(told)})}))
    assert airctl.info(older).data.path == "/home/me/scenes.h5"
    again = airctl.export(older, tmp_path / "again.airctl")
    assert exported.read_header(again) == replace(
        header, data=replace(header.data, path="scenes.h5"), sha256=exported.read_header(again).sha256
    )
    assert all(torch.equal(tensors[name], tensor) for name, tensor in airctl.load(again).model.state_dict().items())
    assert airctl.export(model, tmp_path / "copy.airctl").read_bytes() == model.read_bytes()


def test_its_scenes_are_those_of_the_current_folder_if_they_are_the_same(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name and sha256; another file of that name is not taken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / data.name).write_bytes(b"another")
    with pytest.raises(InputFileError, match=rf"^{data.name}, .* is not here: say where it is with data=FILE"):
        airctl.evaluate(model)
    shutil.copy(data, tmp_path / data.name)
    assert airctl.evaluate(model).data == data.name


@pytest.mark.parametrize("words", [["infer", "{}", "x.png"], ["eval", "{}"], ["variance-report", "{}"]])
def test_another_checkpoint_of_one_model_is_refused(airctl, model: Path, words: list[str]) -> None:
    """It would have no effect."""
    code, out, err = airctl(*(word.format(model) for word in words), "--checkpoint", "best")
    assert (code, out) == (2, "")
    assert "--checkpoint best has no effect: " in err


def test_the_command_writes_it_and_says_where(airctl, finished: Path, data: Path, tmp_path: Path) -> None:
    """export -o FILE, then infer and eval of it; a file that exists stays without --force."""
    out = tmp_path / "a.airctl"
    assert airctl("export", finished, "-o", out)[:2] == (0, f"{out}\n")
    code, told, err = airctl("export", finished, "-o", out)
    assert (code, told) == (2, "")
    assert "exists: say --force to replace it" in err
    assert airctl("export", finished, "-o", out, "--force")[0] == 0
    code, told, _ = airctl("predict", out, data, "--json")
    assert code == 0
    assert {json.loads(line)["schema"] for line in told.splitlines()} == {1}
    assert airctl("eval", out, "--data", data)[0] == 0
    assert "every byte checked" in airctl("info", out)[1]
    code, _, err = airctl("export", finished, "-o", tmp_path / "a.bin")
    assert code == 2
    assert "--out" in err
    assert "expected a name that ends in .airctl" in err
    code, _, err = airctl("report", out)
    assert code == 2
    assert "is not a run folder" in err


def test_a_flipped_bit_or_a_cut_is_seen(model: Path, tmp_path: Path) -> None:
    """Anywhere in the file: refused, in one sentence; the file as it was is the control."""
    whole, place = model.read_bytes(), tmp_path / "damaged.airctl"
    draw = np.random.default_rng(0)
    for number in range(40):
        damaged = bytearray(whole)
        damaged[draw.integers(2000 if number % 2 else len(whole))] ^= 1 << draw.integers(8)
        place.write_bytes(damaged)
        with pytest.raises((InputFileError, ConfigError)):
            airctl.load(place)
    for size in np.linspace(0, len(whole) - 1, 10).astype(int):
        place.write_bytes(whole[:size])
        with pytest.raises(InputFileError):
            airctl.load(place)
    place.write_bytes(whole)
    assert airctl.load(place).step == 12


def test_a_strange_file_is_one_sentence(data: Path, finished: Path, tmp_path: Path) -> None:
    """A scene file, weights without a description, and text."""
    weights = finished / "checkpoints/step_00000012/model.safetensors"
    (tmp_path / "text.airctl").write_text("text")
    for path in (data, weights, tmp_path / "text.airctl"):
        with pytest.raises(InputFileError, match="no model that 'airctl export' has made"):
            airctl.load(path)


def test_it_works_where_its_data_is_gone(model: Path, data: Path, finished: Path, tmp_path: Path) -> None:
    """Without its scene file it still finds; an evaluation names the sha256 that it wants, and takes the file."""
    import hashlib

    assert read_split(data, "test")
    run = shutil.copytree(finished, tmp_path / "run")
    told = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(told | {"path": str(tmp_path / "gone.h5")}))
    moved = airctl.export(run, tmp_path / "moved.airctl")
    sha256 = hashlib.sha256(data.read_bytes()).hexdigest()
    with pytest.raises(InputFileError, match=rf"^gone.h5, .* is not here: say where it is with data=FILE .*{sha256}"):
        airctl.evaluate(moved)
    assert airctl.evaluate(moved, data=str(data)).data_sha256 == sha256
    assert next(iter(airctl.infer(moved, [data]))).canvas.shape == (50, 50)
