"""The examples of docs/formats.md run, in their order, on the files that the first of them writes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from airctl.scenes.cells import cells

PAGE = Path(__file__).parents[2] / "docs/formats.md"


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads two objects, or what it says; supervision has a stand-in."""
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=SimpleNamespace))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dishes").mkdir()
    Image.new("L", (60, 40)).save(tmp_path / "dishes/a.png")
    Image.fromarray((cells(4, 80, 100, 18, 1).pixels * 255).astype(np.uint8)).save(tmp_path / "cells.png")
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(code, names)
    assert names["counts"]["count"].tolist() == [2]
    assert len(names["boxes"]) == len(names["areas"]) == len(names["probabilities"]) == 2
    assert len(names["frame"]) == 4
    assert names["detections"].xyxy.shape == (4, 4)
    assert (tmp_path / "found/images/0001_a.png").is_file()
