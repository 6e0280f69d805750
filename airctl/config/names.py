"""A word that chooses from a table: what it stands for, or the nearest word that there is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from airctl.errors import ConfigError

T = TypeVar("T")


def lookup(registry: Mapping[str, T], key: str, name: str) -> T:
    """The entry ``name`` of a registry that config key ``key`` chooses from; ``ConfigError`` has a suggestion."""
    if name not in registry:
        raise ConfigError(f"there is no {key} {name!r}{hint(name, registry)}")
    return registry[name]


def hint(word: str, known: Iterable[str]) -> str:
    """A half sentence that helps after a misspelt word: the nearest known one, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": known are {', '.join(known)}"
