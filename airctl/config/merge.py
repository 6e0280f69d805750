"""Values put into a config: every name, type and range is checked here and nowhere else."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

from airctl.config.sections import Config, TrainConfig
from airctl.errors import ConfigError

# Where the keys of older versions went. Both still load, and --set takes both.
_RENAMED = {
    "model.hidden": "network.hidden",
    "model.predict_hidden": "network.predict_hidden",
    "model.embedding": "network.embedding",
    "model.attention_input": "network.attention_input",
    "model.present_bias": "network.present_bias",
    "model.where_sd_max": "posterior.where_sd_max",
    "model.likelihood_sd": "likelihood.sd",
    "prior.count": "count.probability",
    "prior.count_start": "count.start",
    "prior.count_anneal": "count.anneal",
    "prior.count_anneal_steps": "count.anneal_steps",
}

# Keys that came later and that a preset now sets, with what they were: for the config.toml of an older run.
ADDED: Mapping[str, int | str] = {"objective.baseline_head": 0, "network.start": "near"}


def merge(config: Config, values: Mapping[str, Any]) -> Config:
    """Put nested ``values`` into ``config``; ``ConfigError`` for a name, type or range that cannot be."""
    sections = {f.name for f in dataclasses.fields(config) if f.name != "preset"}
    changed: dict[str, Any] = {}
    for section, entries in _current(values).items():
        if section not in sections:
            raise ConfigError(f"there is no config section {section!r}{_key_hint(section, sections)}")
        if not isinstance(entries, Mapping):
            raise ConfigError(f"{section} is a section: expected {section}.KEY=VALUE")
        old = getattr(config, section)
        types = get_type_hints(type(old))
        known = {f.name: f for f in dataclasses.fields(old)}
        new = {}
        for name, value in entries.items():
            if name not in known:
                raise ConfigError(f"there is no config key {section}.{name}{_key_hint(f'{section}.{name}', sections)}")
            new[name] = _checked(f"{section}.{name}", value, types[name], known[name].metadata)
        changed[section] = dataclasses.replace(old, **new)
    return dataclasses.replace(config, **changed)


def _current(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` with the keys of older versions under the names that they have now."""
    moved: dict[str, Any] = {s: dict(e) if isinstance(e, Mapping) else e for s, e in values.items()}
    for old, new in _RENAMED.items():
        (section, name), (new_section, new_name) = old.split("."), new.split(".")
        if isinstance(moved.get(section), dict) and name in moved[section]:
            moved.setdefault(new_section, {}).setdefault(new_name, moved[section].pop(name))
    if _is_a_runs(moved):
        for key, value in ADDED.items():
            section, name = key.split(".")
            moved.setdefault(section, {}).setdefault(name, value)
    return moved


def _is_a_runs(values: Mapping[str, Any]) -> bool:
    """Whether ``values`` are all of a run, whose file says every key that there was: the section [train] is whole."""
    said = values.get("train")
    return isinstance(said, Mapping) and all(entry.name in said for entry in dataclasses.fields(TrainConfig))


def _key_hint(word: str, sections: Iterable[str]) -> str:
    keys = [f"{s}.{f.name}" for s in sections for f in dataclasses.fields(getattr(Config(), s))]
    by_name = {key.partition(".")[2]: key for key in keys}
    name = word.rpartition(".")[2]
    exact = [by_name[name]] if name in by_name else []
    near = exact or difflib.get_close_matches(word, keys, n=1)
    near = near or [by_name[n] for n in difflib.get_close_matches(name, by_name, n=1)]
    return f": did you mean {near[0]!r}?" if near else f": sections are {', '.join(sorted(sections))}"


def _checked(key: str, value: Any, kind: Any, metadata: Mapping[str, Any]) -> Any:
    if any(type(v) is int and abs(v) >= 1 << 63 for v in (value if isinstance(value, list | tuple) else [value])):
        raise ConfigError(f"{key}: the number is too large")
    if kind is float and type(value) is int:
        value = float(value)
    if kind is str and "choices" in metadata and value not in metadata["choices"]:
        raise ConfigError(f"{key} = {value!r}: expected one of {', '.join(metadata['choices'])}")
    if kind not in (int, float, str):  # the tuples of three numbers
        numbers = isinstance(value, list | tuple) and len(value) == 3
        if not numbers or not all(type(v) in (int, float) and math.isfinite(v) for v in value):
            raise ConfigError(f"{key} = {value!r}: expected three numbers, such as [3.0, 0.0, 0.0]")
        if key == "prior.where_scale" and min(value) <= 0:
            raise ConfigError(f"{key} = {value!r}: standard deviations must be above 0")
        return tuple(float(v) for v in value)
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", str: "a word"}
        raise ConfigError(f"{key} = {value!r}: expected {names[kind]}")
    if kind is float and math.isnan(value):
        raise ConfigError(f"{key} = nan: expected a number")
    if kind is float and math.isinf(value) and key != "optimiser.clip":
        raise ConfigError(f"{key} = {value}: only optimiser.clip may be without bound")
    low, high = metadata.get("range", (-math.inf, math.inf))
    if kind is not str and not low <= value <= high:
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        raise ConfigError(f"{key} = {value!r}: expected at least {low:g}{upper}")
    return value


def is_of_an_older_version(values: Mapping[str, Any]) -> bool:
    """Whether a config file has keys that have other names now."""
    return any(
        isinstance(values.get(s), Mapping) and k in values[s] for s, _, k in (o.partition(".") for o in _RENAMED)
    )
