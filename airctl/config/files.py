"""A config as TOML text, read and written, and ``section.key=value`` overrides."""

from __future__ import annotations

import dataclasses
import inspect
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airctl.config.merge import is_of_an_older_version, merge
from airctl.config.presets import DEFAULT, preset
from airctl.config.sections import Config
from airctl.errors import ConfigError, InputFileError
from airctl.files import read_small


def override(config: Config, settings: Iterable[str]) -> Config:
    """Apply ``section.key=value`` settings in their order; values are written as in TOML, bare words are strings."""
    for setting in settings:
        if len(setting) > 1000:
            raise ConfigError(f"{setting[:40]}...: expected a short KEY=VALUE")
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting}: expected KEY=VALUE, for instance train.batch=128")
        section, _, name = key.strip().partition(".")
        config = merge(config, {section: {name: _parse(text.strip())}} if name else {section: _parse(text.strip())})
    return config


def load(path: Path, base: Config | None = None) -> Config:
    """Read a TOML config over ``base`` (by default, over the preset that the file names)."""
    try:
        text = read_small(path).decode("utf-8")
    except (ValueError, InputFileError) as error:
        raise InputFileError(f"{path} cannot be read as a TOML config: {error}") from error
    return loads(text, str(path), base)


def loads(text: str, where: str, base: Config | None = None) -> Config:
    """``load`` of a TOML text that comes from ``where``."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{where} cannot be read as a TOML config: {error}") from error
    name = values.pop("preset", base.preset if base else DEFAULT)
    if name == "fast" and is_of_an_older_version(values):
        name = "recurrent"  # as it is called since
    try:
        named = preset(str(name))
        if base and name != base.preset:
            raise ConfigError(f"it says preset {name!r}, but {base.preset!r} was asked for")
        return merge(base or named, values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def dumps(config: Config, *, comments: bool = False) -> str:
    """The whole config as TOML; ``load`` of it gives the same config back, with ``comments`` or without.

    ``comments`` puts above each section what it is for and above each key what it means.
    """
    lines = [f"preset = {toml(config.preset)}"]
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        if dataclasses.is_dataclass(values):
            lines += ["", *([f"# {inspect.cleandoc(values.__doc__ or '')}"] if comments else []), f"[{section.name}]"]
            for entry in dataclasses.fields(values):
                lines += [f"# {described(entry)}"] if comments else []
                lines.append(f"{entry.name} = {toml(getattr(values, entry.name))}")
    return "\n".join(lines) + "\n"


def described(entry: dataclasses.Field[Any]) -> str:
    """What a key means, with the words that it can be."""
    choices = entry.metadata.get("choices")
    return str(entry.metadata["help"]) + (f" ({', '.join(choices)})" if choices else "")


def toml(value: Any) -> str:
    """One value of a config as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # escapes as TOML's basic strings do
    if isinstance(value, tuple):
        return f"[{', '.join(toml(v) for v in value)}]"
    return repr(value)  # int, and float with inf and nan, are written alike in TOML


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError, KeyError):  # also whole numbers of thousands of digits
        return text
