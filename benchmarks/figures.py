"""Are the figures of the pages those of today's code? ``python -m benchmarks.figures [--check | --update NAME ...]``

    python -m benchmarks.figures                              every group of figures, and which of them are stale
    python -m benchmarks.figures --check                      the same, with exit code 1 if one is stale
    python -m benchmarks.figures --update NAME --measured     they were made again, by the code as it is now
    python -m benchmarks.figures --update NAME --because "..."    the code changed, the figures did not: why
    python -m benchmarks.figures --update --all --because "..."   the same of every stale group

docs/figures.toml says of each group of figures in which sections of which pages they stand, which command makes them,
at which commit it did, and on which code they depend. That code has a digest: sha256 over the syntax trees of its
files, so that comments, docstrings and formatting do not count, nor the version of Python, nor whether there is a git.
A group without a digest is of old code for good: its pages have to name the commit. ``tests/test_figures.py`` checks
all of it.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airctl.files import write_text

ROOT = Path(__file__).parents[1]
REGISTRY = Path("docs/figures.toml")
MEASURED = re.compile(r"\d ?%|\d ms\b|\bms a step\b|\bms, median\b|variance of norm|p\(no bias\)")


@dataclass(frozen=True)
class Group:
    """Figures that one command makes; the fields are the keys of its table in the registry."""

    name: str
    figures: str  # what they are
    where: list[str]  # PAGE or PAGE#heading, as in a link
    command: str
    commit: str  # at which it made them
    code: list[str]  # files, folders and names of lists of the registry; with ! in front: without these
    digest: str = ""  # of that code when they were last known to be true; empty: of the code of ``commit`` for good
    checked: str = ""  # the commit at which the digest was taken
    unchanged_because: list[str] = field(default_factory=list)  # the code changed since ``commit``, the figures did not


@dataclass(frozen=True)
class Registry:
    """docs/figures.toml."""

    lists: Mapping[str, list[str]]  # names for code that several groups depend on
    without: Mapping[str, str]  # pages that no group is asked for, and why
    groups: list[Group]

    @classmethod
    def read(cls, root: Path = ROOT) -> Registry:
        """``TypeError`` or ``KeyError`` for a key that is not known or is missing."""
        told = tomllib.loads((root / REGISTRY).read_text(encoding="utf-8"))
        groups = [Group(name=name, **values) for name, values in told["group"].items()]
        return cls(told["code"], told["without"], groups)

    def files(self, group: Group, root: Path = ROOT) -> list[Path]:
        """The code of ``group``, relative to ``root``; ``FileNotFoundError`` for a name with nothing behind it."""
        found: set[Path] = set()
        for name in self._names(group.code):
            those = set(_under(root, name.lstrip("!")))
            found = found - those if name.startswith("!") else found | those
        return sorted(found)

    def _names(self, words: list[str]) -> Iterator[str]:
        for word in words:
            yield from self._names(self.lists[word]) if word in self.lists else [word]

    def digest(self, group: Group, root: Path = ROOT) -> str:
        """Of its code as it is now."""
        whole = hashlib.sha256()
        for path in self.files(group, root):
            whole.update(f"{path.as_posix()}\0{meaning(path, (root / path).read_bytes())}\0".encode())
        return whole.hexdigest()[:16]

    def stale(self, root: Path = ROOT) -> list[Group]:
        """The groups whose code has changed."""
        return [group for group in self.groups if group.digest and group.digest != self.digest(group, root)]

    def write(self, root: Path = ROOT) -> None:
        """The groups back into the file; its head stays as it is."""
        head = (root / REGISTRY).read_text(encoding="utf-8").partition("\n[group.")[0]
        write_text(root / REGISTRY, "\n".join([head, *(_as_toml(group) for group in self.groups)]))


def _under(root: Path, name: str) -> Iterator[Path]:
    path = root / name
    if path.is_dir():
        yield from (each.relative_to(root) for each in path.rglob("*.py"))
    elif path.is_file():
        yield Path(name)
    else:
        raise FileNotFoundError(f"{REGISTRY}: {name} is neither a file nor a folder")


def _as_toml(group: Group) -> str:
    lines = [f"[group.{group.name}]"]
    for key, value in vars(group).items():
        if key == "name" or value in ("", []):
            continue
        if isinstance(value, list) and key != "code":
            lines += [f"{key} = [", *(f"    {_quoted(each)}," for each in value), "]"]
        else:
            listed = f"[{', '.join(map(_quoted, value))}]" if isinstance(value, list) else _quoted(value)
            lines.append(f"{key} = {listed}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def meaning(path: Path, content: bytes) -> str:
    """What of a file can change a figure: of Python its syntax tree without docstrings, of others all of it."""
    if path.suffix != ".py":
        return hashlib.sha256(content).hexdigest()
    return _tree(ast.parse(content))


def _tree(node: Any) -> str:
    # ast.dump differs between versions of Python in empty fields, which are left out here.
    if isinstance(node, list):
        return f"[{','.join(map(_tree, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list) and _is_docstring(node, value):
            value = value[1:]
        if value is not None and value != []:
            parts.append(f"{name}={_tree(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _is_docstring(node: ast.AST, body: list[Any]) -> bool:
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    return documented and isinstance(first, ast.Constant) and isinstance(first.value, str)


def changed(registry: Registry, group: Group) -> list[str]:
    """The files of ``group`` that mean something else than when it was checked, if there is a git that knows it."""
    found, commit = [], group.checked or group.commit
    for path in registry.files(group):
        then = subprocess.run(["git", "show", f"{commit}:{path.as_posix()}"], cwd=ROOT, capture_output=True)
        if then.returncode and b"exists on disk" not in then.stderr:
            return ["(no git here that knows that commit)"]
        if then.returncode or meaning(path, then.stdout) != meaning(path, (ROOT / path).read_bytes()):
            found.append(path.as_posix())
    return found


def sections(page: str) -> Iterator[tuple[str, str]]:
    """Anchor and text of each section of a page, headings of code blocks left out; "" before the first heading."""
    anchor, lines, code = "", list[str](), False
    for line in page.splitlines():
        code ^= line.startswith("```")
        if line.startswith("#") and not code:
            yield anchor, "\n".join(lines)
            plain = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            anchor, lines = plain.replace(" ", "-"), []
        else:
            lines.append(line)
    yield anchor, "\n".join(lines)


def text_at(root: Path, place: str) -> str | None:
    """The text of a page, or of its section; None if there is no such page or heading."""
    name, _, anchor = place.partition("#")
    if not (root / name).is_file():
        return None
    page = (root / name).read_text(encoding="utf-8")
    return dict(sections(page)).get(anchor) if anchor else page


def unclaimed(registry: Registry, name: str, page: str) -> list[str]:
    """The sections of page ``name`` with a measured figure that belongs to no group."""
    where = {place for group in registry.groups for place in group.where}
    if name in where or name in registry.without:
        return []
    return [
        anchor
        for anchor, text in sections(page)
        if MEASURED.search(text) and f"{name}#{anchor}".rstrip("#") not in where
    ]


def head_commit() -> str:
    """Of the checkout, short; "" without a git."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def updated(registry: Registry, names: list[str], because: str | None, root: Path = ROOT) -> Registry:
    """The registry with the digests of ``names`` as of now: measured again, or unchanged ``because``."""

    def new(group: Group) -> Group:
        if group.name not in names:
            return group
        digest, head = registry.digest(group, root), head_commit()
        if because is None:
            return replace(group, digest=digest, commit=head, checked=head, unchanged_because=[])
        return replace(group, digest=digest, checked=head, unchanged_because=[*group.unchanged_because, because])

    return replace(registry, groups=[new(group) for group in registry.groups])


def listing(registry: Registry) -> str:
    """A line for each group, and what changed under those that are stale."""
    stale, lines = registry.stale(), []
    for group in registry.groups:
        state = "STALE" if group in stale else "of old code" if not group.digest else "true"
        lines.append(f"{group.name:28} {state:12} {group.commit:8} {group.figures}")
        if group in stale:
            lines += [
                f"    made by {group.command}",
                *(f"    {name} has changed since" for name in changed(registry, group)),
            ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit code 1 if a group is stale")
    parser.add_argument("--update", nargs="*", metavar="NAME", help="groups whose digest becomes that of today's code")
    parser.add_argument("--all", action="store_true", help="every stale group")
    parser.add_argument("--because", metavar="TEXT", help="why the figures are the same although the code is not")
    parser.add_argument("--measured", action="store_true", help="they were made again at this commit")
    chosen = parser.parse_args()
    registry = Registry.read()
    if chosen.update is not None:
        if (chosen.because is None) != chosen.measured:
            parser.error("--update needs a reason: --because TEXT, or --measured if the figures were made again")
        names = [group.name for group in registry.stale()] if chosen.all else chosen.update
        known = [group.name for group in registry.groups]
        if wrong := set(names) - set(known):
            parser.error(f"no group {', '.join(sorted(wrong))}: expected some of {', '.join(known)}")
        registry = updated(registry, names, chosen.because)
        registry.write()
    print(listing(registry))
    if chosen.check and registry.stale():
        sys.exit("stale: make them again, or say why they are the same (--update NAME --because TEXT)")


if __name__ == "__main__":
    main()
