"""No figure of a page is older than the code that it depends on, unless the page says so."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data/README.md", *ROOT.glob("airctl/weights/*.md")]
NAMES = sorted(str(page.relative_to(ROOT)) for page in PAGES)


def loaded() -> ModuleType:
    """benchmarks/figures.py, wherever pytest was started."""
    spec = importlib.util.spec_from_file_location("figures_of_the_pages", ROOT / "benchmarks/figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


figures = loaded()
REGISTRY = figures.Registry.read()
SOURCE = '"""A module."""\n\n\ndef twice(x: int) -> int:\n    """Two of it."""\n    return 2 * x\n'
SMALL = """# What stands where.

[code]
middle = ["core", "!core/left_out.py"]

[without]

[group.one]
figures = "a number"
where = ["page.md#results"]
command = "make it"
commit = "abc1234"
code = ["middle"]
digest = "-"
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository of two files, with a group that is true."""
    (tmp_path / "core").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "core/one.py").write_text(SOURCE)
    (tmp_path / "core/left_out.py").write_text(SOURCE)
    (tmp_path / "docs/figures.toml").write_text(SMALL)
    figures.updated(figures.Registry.read(tmp_path), ["one"], "made just now", tmp_path).write(tmp_path)
    return tmp_path


def test_every_figure_is_that_of_todays_code() -> None:
    """Code that a figure depends on has changed: make it again, or say why it is the same (--help says how)."""
    assert [f"{group.name}: python -m benchmarks.figures" for group in REGISTRY.stale()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_measured_figure_belongs_to_a_group(name: str) -> None:
    """Each section of each page with a percentage, a time or a variance is some group's."""
    assert figures.unclaimed(REGISTRY, name, (ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("group", REGISTRY.groups, ids=lambda group: group.name)
def test_a_group_stands_where_it_says_and_old_code_is_named_there(group: figures.Group) -> None:  # type: ignore[name-defined]
    """Its sections exist; where the figures are of old code, each of them names the commit."""
    for place in group.where:
        text = figures.text_at(ROOT, place)
        assert text is not None, f"{place}: no such section"
        assert group.digest or group.commit in text, f"{place} does not name commit {group.commit}"


def test_code_that_changes_makes_its_figures_stale(small: Path) -> None:
    """Another factor, another file, one file less."""
    read = figures.Registry.read
    assert read(small).stale(small) == []
    (small / "core/one.py").write_text(SOURCE.replace("2 * x", "3 * x"))
    assert [group.name for group in read(small).stale(small)] == ["one"]
    (small / "core/one.py").write_text(SOURCE)
    assert read(small).stale(small) == []
    (small / "core/two.py").write_text(SOURCE)
    assert [group.name for group in read(small).stale(small)] == ["one"]


def test_what_changes_no_figure_makes_none_stale(small: Path) -> None:
    """Comments, docstrings, line breaks, and code that the group does not depend on."""
    other = SOURCE.replace("A module.", "Another text.").replace(
        "    return 2 * x", "    # why\n    return (\n        2 * x\n    )"
    )
    (small / "core/one.py").write_text(other)
    (small / "core/left_out.py").write_text("something = 'else'\n")
    assert figures.Registry.read(small).stale(small) == []
    text = SOURCE.replace("return 2 * x", "return '''Two of it.'''")
    assert figures.meaning(Path("a.py"), text.encode()) != figures.meaning(Path("a.py"), SOURCE.encode())


def test_an_update_keeps_the_reasons_and_the_head_of_the_file(small: Path) -> None:
    """What is written reads back the same, reasons one after the other; a code that is not there is an error."""
    (small / "core/one.py").write_text(SOURCE.replace("twice", "double"))
    registry = figures.updated(figures.Registry.read(small), ["one"], 'renamed to "double"', small)
    registry.write(small)
    again = figures.Registry.read(small)
    assert again == registry
    assert again.stale(small) == []
    assert again.groups[0].unchanged_because == ["made just now", 'renamed to "double"']
    assert (small / "docs/figures.toml").read_text().startswith(SMALL.partition("\n[group.")[0])
    (small / "core/one.py").unlink()
    (small / "core/left_out.py").unlink()
    (small / "core").rmdir()
    with pytest.raises(FileNotFoundError, match="core is neither a file nor a folder"):
        again.stale(small)


def test_a_figure_of_no_group_and_a_place_that_is_not_there_are_caught(small: Path) -> None:
    """Negative control: a percentage under another heading; a heading that was renamed."""
    page = "# Page\n\nText.\n\n## Results\n\n99 % of it.\n\n## Further\n\nAnd 98 %.\n"
    registry = figures.Registry.read(small)
    assert figures.unclaimed(registry, "page.md", page) == ["further"]
    (small / "page.md").write_text(page)
    assert "99 %" in figures.text_at(small, "page.md#results")
    assert figures.text_at(small, "page.md#result") is None


@pytest.mark.parametrize("words", [["--update", "fast"], ["--update", "fasst", "--because", "x"]])
def test_an_update_wants_a_reason_and_a_group_that_exists(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing becomes true without a word, nor under a misspelled name."""
    monkeypatch.setattr("sys.argv", ["figures", *words])
    before = (ROOT / "docs/figures.toml").read_bytes()
    with pytest.raises(SystemExit):
        figures.main()
    assert "needs a reason" in (told := capsys.readouterr().err) or "no group fasst" in told
    assert (ROOT / "docs/figures.toml").read_bytes() == before
