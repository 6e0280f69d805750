"""Imports go one way: cli -> commands -> (training, laboratory, evaluation, reporting) -> inference -> objectives."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "airctl"

BASE = {"config", "errors", "files", "group", "_version"}
CORE = BASE | {"scenes", "model", "objectives", "inference"}
UPPER = {"training", "laboratory", "evaluation", "reporting", "results"}

# What each part of the package may import from the others; itself always. A new part needs a row here.
MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "files": {"errors"},
    "group": {"errors"},
    "batch": {"group"},
    "config": {"errors", "files"},
    "results": BASE,
    "formats": {"results", "errors", "files"},
    "scenes": {"config", "errors", "files", "_version"},
    "model": {"batch", "config", "errors"},
    "objectives": {"model", "batch", "config", "errors"},
    "inference": {"scenes", "objectives", "model", "config", "errors", "group", "results", "formats"},
    "evaluation": CORE | {"results"},
    "laboratory": CORE | {"results"},
    "reporting": BASE | {"results"},
    "training": CORE | {"batch", "evaluation", "results"},
    "commands": CORE | UPPER | {"formats"},
    "__init__": CORE | UPPER | {"commands"},
    "cli": CORE | UPPER | {"commands", "formats", "__init__"},
    "__main__": {"cli"},
}
ONLY_IN = {"click": {"cli"}}  # other packages that only some parts may import


def modules_named(node: ast.AST, module: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The absolute dotted names that an import statement in ``module`` (its package and its own name) may load."""
    if isinstance(node, ast.Import):
        return [tuple(alias.name.split(".")) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = module[: len(module) - node.level] if node.level else ()
        base = (*start, *(node.module.split(".") if node.module else ()))
        return [(*base, alias.name) for alias in node.names]
    return []


def violations(package: Path) -> list[str]:
    """Each import below ``package`` that the tables forbid, as "file: what it imports"."""
    parts = {path.stem for path in package.iterdir() if path.is_dir() or path.suffix == ".py"}
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        part = inside.parts[0].removesuffix(".py")
        module = ("airctl", *inside.with_suffix("").parts)
        if part not in MAY_IMPORT:
            found.append(f"{inside}: {part} has no row in the table")
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in modules_named(node, module):
                if name[0] == "airctl":
                    # ``airctl.thing`` that is no part of the package is an attribute of its __init__
                    target = name[1] if len(name) > 1 and name[1] in parts else "__init__"
                    allowed = target in MAY_IMPORT[part] | {part}
                else:
                    target = name[0]
                    allowed = part in ONLY_IN.get(target, {part})
                if not allowed:
                    found.append(f"{inside}: {target}")
    return found


def test_imports_go_one_way() -> None:
    """No module of airctl imports what the table does not give it, at its top or inside a function."""
    assert violations(PACKAGE) == []


def test_the_table_itself_has_no_way_back() -> None:
    """If a part may import another, the other may not import it, over any number of steps."""
    reach = {part: set(allowed) for part, allowed in MAY_IMPORT.items()}
    for _ in reach:
        reach = {part: allowed.union(*(reach[other] for other in allowed)) for part, allowed in reach.items()}
    assert [part for part, allowed in reach.items() if part in allowed] == []


def test_model_and_scenes_never_meet() -> None:
    """The model knows nothing of how scenes are made, and the scenes nothing of the model."""
    assert "scenes" not in MAY_IMPORT["model"] | MAY_IMPORT["objectives"]
    assert not MAY_IMPORT["scenes"] & {"model", "objectives", "training", "evaluation", "reporting"}


@pytest.mark.parametrize(
    ("file", "line", "target"),
    [
        ("model/air.py", "from airctl.scenes import compose", "scenes"),
        ("model/air.py", "import airctl.objectives.exact as e", "objectives"),
        ("model/air.py", "from ..scenes import compose", "scenes"),
        ("model/air.py", "from .. import training", "training"),
        ("model/air.py", "from airctl import __version__", "__init__"),
        ("model/air.py", "import airctl", "__init__"),
        ("scenes/store.py", "def f():\n    from airctl.model import AIR", "model"),
        ("scenes/__init__.py", "from airctl import model", "model"),
        ("objectives/exact.py", "if True:\n    import airctl.training", "training"),
        ("evaluation/counts.py", "from airctl.training import train", "training"),
        ("evaluation/counts.py", "from airctl.reporting import tables", "reporting"),
        ("reporting/tables.py", "from airctl.training import train", "training"),
        ("training/session.py", "import click", "click"),
        ("training/session.py", "from click.testing import CliRunner", "click"),
        ("commands/train.py", "from airctl.cli import main", "cli"),
        ("training/session.py", "from airctl.reporting import figures", "reporting"),
        ("reporting/tables.py", "from airctl.model import AIR", "model"),
        ("inference/find.py", "from airctl.evaluation import iou", "evaluation"),
        ("__init__.py", "from .cli import main", "cli"),
        ("formats/coco.py", "from airctl.inference import Found", "inference"),
        ("training/session.py", "from airctl.formats import FORMATS", "formats"),
        ("novelty.py", "import os", "novelty has no row in the table"),
    ],
)
def test_a_forbidden_import_is_caught(tmp_path: Path, file: str, line: str, target: str) -> None:
    """Negative control: one wrong line, in any of the forms that an import takes, is found and named."""
    parts = ("scenes", "model", "objectives", "inference", "evaluation", "reporting", "training", "commands", "formats")
    for part in parts:
        (tmp_path / part).mkdir()
    for name in ("__init__", "cli"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / file).write_text(line)
    found = violations(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"{file}: {target}")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("model/air.py", "from airctl.config import Config\nfrom . import attention\nfrom .attention import crop"),
        ("training/session.py", "from airctl import _version, config\nfrom airctl.evaluation import evaluate"),
        ("cli.py", "import click\nfrom airctl.training import train\nfrom airctl import __version__"),
        ("scenes/store.py", "import h5py\nfrom airctl.files import atomic_path\nfrom ..errors import AirctlError"),
    ],
)
def test_an_allowed_import_is_not_caught(tmp_path: Path, file: str, line: str) -> None:
    """The checker does not cry wolf over what the design allows."""
    for part in ("scenes", "model", "evaluation", "training"):
        (tmp_path / part).mkdir()
    for name in ("__init__", "cli", "config", "errors", "files", "_version"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / file).write_text(line)
    assert violations(tmp_path) == []
