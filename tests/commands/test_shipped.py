"""The models that come with airctl: there, small, as their cards say, and good at what they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import airctl
from airctl.commands.loaded import SHIPPED, WEIGHTS
from airctl.files import sha256_of
from airctl.scenes.cells import cells


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_small_and_has_a_card_with_its_sha256(name: str) -> None:
    path = WEIGHTS / f"{name}.airctl"
    assert path.stat().st_size <= 2e6
    assert sha256_of(path) in path.with_suffix(".md").read_text(encoding="utf-8")
    assert airctl.load(name).step > 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("diameter", [14, 28])
def test_blobs_counts_cells_that_it_has_not_seen(diameter: int, dark: bool) -> None:
    """Of another size than it learnt from, of either polarity, as an array; the boxes lie on the cells."""
    made = cells(90, 360, 520, diameter, 5, dark=dark)
    found = airctl.load("blobs").predict((made.pixels * 255).round().astype(np.uint8))
    assert isinstance(found, airctl.Found)
    assert abs(found.count - 90) <= 0.05 * 90
    assert found.verdict == "fine"
    centres = np.array([[(x0 + x1) / 2, (y0 + y1) / 2] for x0, y0, x1, y1 in (box.box for box in found.boxes)])
    true = np.stack([made.boxes[:, [0, 2]].mean(1), made.boxes[:, [1, 3]].mean(1)], 1)
    nearest = np.linalg.norm(true[:, None] - centres, axis=2).min(1)
    assert (nearest < diameter / 3).mean() > 0.95


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a run called blobs means it."""
    (tmp_path / "blobs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(airctl.AirctlError):
        airctl.load("blobs")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_command_knows_it_by_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airctl) -> None:
    """info, export, eval, preview and variance-report; a report wants a run."""
    monkeypatch.chdir(tmp_path)
    code, told, err = airctl("info", name, "--json")
    assert code == 0, err
    assert json.loads(told)["run"] == name
    assert airctl("export", name, "-o", "mine.airctl")[0] == 0
    exported, shipped = load_file("mine.airctl"), load_file(WEIGHTS / f"{name}.airctl")
    assert exported.keys() == shipped.keys()
    assert all(torch.equal(value, shipped[key]) for key, value in exported.items())
    for words in (["eval"], ["preview"], ["variance-report", "--samples", 4]):
        code, _, err = airctl(words[0], name, *words[1:])
        assert (code, "is not here: say where it is with --data FILE" in err) == (3, True), err
    code, _, err = airctl("report", name)
    assert code == 2
    assert "is not a run folder" in err


def test_a_preview_of_it_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airctl, data: Path
) -> None:
    """Not beside its weights, in the package."""
    monkeypatch.chdir(tmp_path)
    before = sorted(WEIGHTS.iterdir())
    code, out, err = airctl("preview", "digits", "--data", data)
    assert (code, out) == (0, "digits_scenes_step_00001600.png\n"), err
    assert [path.name for path in tmp_path.iterdir()] == [out.strip()]
    assert sorted(WEIGHTS.iterdir()) == before
