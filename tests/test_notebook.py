"""docs/count-your-own.ipynb runs from top to bottom in an empty folder, and shows what its text says."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from airctl.inference import Found

NOTEBOOK = Path(__file__).parents[1] / "docs/count-your-own.ipynb"


def run(notebook: dict[str, Any]) -> list[Any]:
    """What each code cell shows, the value of its last line, as a kernel would; all share their names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            *lines, last = ast.parse("".join(cell["source"])).body
            assert isinstance(last, ast.Expr)
            exec(compile(ast.Module(lines, []), str(NOTEBOOK), "exec"), names)
            shown.append(eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names))
    return shown


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts near the true ones, pictures with boxes, tables, and 24 coins."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    model, cells, facts, counts, objects, coins, said = run(notebook)
    assert repr(model) == "<airctl model blobs: fast, step 1500>"
    for found in (cells, coins):
        assert isinstance(found, Found)
        assert found._repr_png_().startswith(b"\x89PNG")
    assert facts[:2] == (cells.count, "fine")
    assert (counts["found"] - counts["count"]).abs().max() <= 2
    assert len(objects) == len(counts) == 2
    assert coins.count == 24
    assert len(said[1]) == 3


def test_no_stored_output_can_be_out_of_date() -> None:
    """Outputs are made by whoever runs it."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code"] == [[]] * 7
