"""airctl verify: from the scenes to the result every digest is computed again, and one changed byte is told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import airctl as library
from airctl.errors import ConfigError, InputFileError
from airctl.results.as_json import sealed
from airctl.results.verified import DIFFERS, MATCHES, MISSING, Verified

STEP = "checkpoints/step_00000012"


@pytest.fixture(scope="module")
def made(finished: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes, a run with every kind of result, its model, and counts made with that model."""
    place = tmp_path_factory.mktemp("made")
    shutil.copy(data, place / "scenes.h5")
    run = Path(shutil.copytree(finished, place / "run"))
    told = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(told | {"path": str(place / "scenes.h5")}))
    library.report(run, device="cpu")
    library.measure_variance(run, samples=4, batch=8, estimators=("exact",), device="cpu")
    library.export(run, place / "m.airctl")
    list(library.infer(place / "m.airctl", [data], out=place / "found", formats=["csv"], device="cpu"))
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    told = json.loads((copy / "run/data.json").read_text())
    (copy / "run/data.json").write_text(json.dumps(told | {"path": str(copy / "scenes.h5")}))
    return copy


def walked(place: Path, **options: object) -> Verified:
    return library.verify([place / "run", place / "m.airctl", place / "found"], **options)


def test_a_chain_that_nobody_touched_is_whole(place: Path) -> None:
    """Scenes, config, each checkpoint, evaluation, gallery, variance, page, model, tables: all match, none is left."""
    result = walked(place)
    assert {link.status for link in result.links} == {MATCHES}
    told = "\n".join(link.what for link in result.links)
    for what in (
        "data.json: scenes", "step_00000012", "config.toml", "eval-test.json: weights of step 12",
        "eval-test.json: scenes", "gallery-test.json", "variance.json: weights", "report.html: result",
        "m.airctl: checkpoint", "m.airctl: scenes", "counts.csv", "objects.csv", "origin.json: weights",
    ):  # fmt: skip
        assert what in told, what


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit(path: Path, key: str, value: object, seal: bool = False) -> None:
    told = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps(sealed(told) if seal else told))


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of the weights": (lambda p: flip(p / f"run/{STEP}/model.safetensors"), STEP),
    "a byte of the scenes": (lambda p: flip(p / "scenes.h5"), "data.json: scenes"),
    "the config": (
        lambda p: (p / "run/config.toml").write_text((p / "run/config.toml").read_text() + "# x\n"), "config.toml",
    ),
    "the data that the run names": (lambda p: edit(p / "run/data.json", "sha256", "0" * 64), "12: scenes"),
    "an accuracy": (lambda p: edit(p / "run/eval-test.json", "count_accuracy", 1.0), "eval-test.json"),
    "an accuracy, sealed again": (
        lambda p: edit(p / "run/eval-test.json", "count_accuracy", 1.0, seal=True), "report.html: result",
    ),
    "whose weights were evaluated": (
        lambda p: edit(p / "run/eval-test.json", "weights_sha256", "0" * 64, seal=True), "eval-test.json: weights",
    ),
    "a variance": (lambda p: edit(p / "run/variance.json", "batch", 9), "variance.json"),
    "a picture of the gallery": (lambda p: edit(p / "run/gallery-test.json", "prior", []), "gallery-test.json"),
    "a byte of the model": (lambda p: flip(p / "m.airctl"), "m.airctl"),
    "a count": (lambda p: flip(p / "found/counts.csv"), "counts.csv"),
    "an object that is gone": (lambda p: (p / "found/objects.csv").unlink(), "objects.csv"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_named(change: str, place: Path, airctl: Callable[..., tuple[int, str, str]]) -> None:
    """One thing at a time: a link with its name differs, and the exit code is 3."""
    act, where = CHANGES[change]
    act(place)
    code, out, err = airctl("verify", place / "run", place / "m.airctl", place / "found", "--json")
    differing = [link["what"] for link in json.loads(out)["links"] if link["status"] == DIFFERS]
    assert any(where in what for what in differing), (change, differing)
    assert code == 3
    assert "do not trust" in err


def test_what_is_gone_is_missing_and_no_failure(place: Path, airctl: Callable[..., tuple[int, str, str]]) -> None:
    """Scenes that were moved, also found with --data; a model or counts alone; another file with --data differs."""
    (place / "scenes.h5").rename(place / "moved.h5")
    assert {link.status for link in library.verify(place / "run").links} == {MATCHES, MISSING}
    assert {link.status for link in library.verify(place / "run", data=place / "moved.h5").links} == {MATCHES}
    code, out, err = airctl("verify", place / "m.airctl")
    assert (code, err) == (0, "")
    assert "1 match, 2 are missing, 0 differ" in out  # beside the model there are no scenes, nor the run it is of
    flip(place / "moved.h5")
    assert airctl("verify", place / "run", "--data", place / "moved.h5")[0] == 3
    assert airctl("verify", place / "run", "--data", place / "nothing.h5")[0] == 3


def test_an_older_run_names_less(place: Path) -> None:
    """Results without a sha256 of their own and checkpoints that name nothing are missing links, not broken ones."""
    told = json.loads((place / "run/eval-test.json").read_text())
    del told["sha256"]
    (place / "run/eval-test.json").write_text(json.dumps(told))
    page = (place / "run/report.html").read_text()
    (place / "run/report.html").write_text(page.replace("airctl:origin", "nothing"))
    missing = [link.what for link in walked(place).links if link.status != MATCHES]
    assert len(missing) == 2
    assert missing[0].endswith("eval-test.json")
    assert missing[1].endswith("report.html: result")


def test_a_strangers_folder_leads_nowhere(place: Path, tmp_path: Path) -> None:
    """Links are refused, pipes not waited for, and a path to any other file than scenes does not tell what it holds."""
    (place / "run/data.json").write_text(json.dumps({"path": "/etc/hostname", "sha256": "0" * 64}))
    link = next(link for link in library.verify(place / "run").links if link.what.endswith("data.json: scenes"))
    assert (link.status, link.found) == (MISSING, None)
    (place / "run/data.json").write_text(json.dumps({"path": str(tmp_path / "link.h5"), "sha256": "0" * 64}))
    (tmp_path / "link.h5").symlink_to(place / "scenes.h5")
    link = next(link for link in library.verify(place / "run").links if link.what.endswith("data.json: scenes"))
    assert (link.status, link.found) == (MISSING, None)

    (place / "found/counts.csv").unlink()
    os.mkfifo(place / "found/counts.csv")
    (place / "found/objects.csv").rename(tmp_path / "objects.csv")
    (place / "found/objects.csv").symlink_to(tmp_path / "objects.csv")
    told = [link for link in library.verify(place / "found").links if link.status == DIFFERS]
    assert [Path(link.what).name for link in told] == ["counts.csv", "objects.csv"]
    (place / "found/origin.json").rename(tmp_path / "origin.json")
    (place / "found/origin.json").symlink_to(tmp_path / "origin.json")
    with pytest.raises(InputFileError, match="is a link"):
        library.verify(place / "found")
    (place / "run/eval-test.json").unlink()
    (place / "run/eval-test.json").symlink_to(tmp_path / "origin.json")
    with pytest.raises(ConfigError, match="is a link to somewhere else"):
        library.verify(place / "run")
    with pytest.raises(ConfigError, match="expected a run folder"):
        library.verify(tmp_path / "nothing")


def test_counts_that_were_not_finished_have_no_origin(place: Path, data: Path) -> None:
    """While files are written there is no origin.json, not even one of before; what is stopped leaves none."""
    found = library.infer(place / "m.airctl", [data], out=place / "found", formats=["csv"], force=True, device="cpu")
    next(found)
    assert not (place / "found/origin.json").exists()
    found.close()
    assert not (place / "found/origin.json").exists()
    list(library.infer(place / "m.airctl", [data], out=place / "found", resume=True, device="cpu"))
    assert {link.status for link in walked(place).links} == {MATCHES}
