"""The one door between results and JSON: ``to_json`` writes a frozen dataclass, ``from_json`` checks what it reads.

Keys are the names of the fields, ``"schema"`` is the number of this format, and a number that is not finite is null.
A file is untrusted: whatever is missing or of another type is an ``InputFileError`` that names file, key, what was
found and what was expected. Unknown keys are passed over.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from airctl.errors import InputFileError
from airctl.files import read_small

SCHEMA = 1
SEAL = "sha256"  # the key of a file's own
MOST_BYTES = 16 << 20  # of a result file

T = TypeVar("T")


@dataclass(frozen=True)
class Is:
    """What a field means and in which unit it is, beside its type: ``Annotated[float, Is("mean ELBO", "nats")]``."""

    meaning: str
    unit: str = ""


# --- writing ---------------------------------------------------------------------------------------------------------


def to_json(value: Any) -> dict[str, Any]:
    """A result as one JSON object with its ``"schema"``."""
    plain = plain_value(value)
    assert isinstance(plain, dict)
    return {"schema": SCHEMA, **plain}


def plain_value(value: Any) -> Any:
    """``value`` as dicts with string keys, lists, and numbers that JSON has."""
    if is_dataclass(value):
        return {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sealed(value: Any) -> dict[str, Any]:
    """A plain JSON object with the key ``"sha256"``, of all the rest: what is changed in the file is noticed."""
    plain = plain_value(value)
    return {**plain, SEAL: seal_of(plain)}


def seal_of(plain: Mapping[str, Any]) -> str:
    """The sha256 of an object without that key, as JSON on one line with sorted keys."""
    rest = {key: one for key, one in plain.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def dumps(value: Any) -> str:
    """A result on one line, as the command line prints it."""
    return json.dumps(to_json(value), allow_nan=False)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(kind: type[T], path: Path, remedy: str) -> T:
    """The result of that kind in a file; ``InputFileError``, with the ``remedy``, for anything else."""
    try:
        return from_json(kind, read_object(path), str(path))
    except InputFileError as error:
        raise InputFileError(f"{error}; {remedy}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, its values unchecked; ``InputFileError`` if it holds none."""
    try:
        value = loads(read_small(path, MOST_BYTES))
    except (ValueError, RecursionError, InputFileError) as error:
        raise InputFileError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputFileError(f"{path} holds no JSON object")
    return value


def loads(text: bytes | str) -> Any:
    """A JSON value; ``ValueError`` for NaN and for numbers that are not finite, which JSON does not have."""
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is no number of JSON")
    return number


def from_json(kind: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """``mapping`` as a ``kind``, every type checked; ``where`` names the file in the ``InputFileError`` otherwise.

    An object without ``"schema"`` is older than the format: if ``kind`` has a method ``of_older``, that mends it first.
    """
    schema = mapping.get("schema")
    older = getattr(kind, "of_older", None)
    if schema is None and older is not None:
        mapping = older(mapping)
    elif schema is not None and schema != SCHEMA:
        raise InputFileError(f"{where} has schema {_shown(schema)} where this airctl reads {SCHEMA}")
    found: T = _dataclass(kind, mapping, "", where)
    return found


def _dataclass(kind: Any, value: Any, key: str, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _refused(where, key, value, "an object")
    hints = get_type_hints(kind, include_extras=True)
    found = {}
    for field in fields(kind):
        name = f"{key}.{field.name}" if key else field.name
        if field.name in value:
            found[field.name] = _value(hints[field.name], value[field.name], name, where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputFileError(f"{where}: {name} is missing: expected {type_name(hints[field.name])}")
    return kind(**found)


def _value(kind: Any, value: Any, key: str, where: str) -> Any:
    kind, origin, inner = _bare(kind)
    if is_dataclass(kind):
        return _dataclass(kind, value, key, where)
    if origin in (Union, UnionType):
        return _any_of(inner, value, key, where)
    if origin is dict and isinstance(value, Mapping):
        return {_key(inner[0], k, key, where): _value(inner[1], v, f"{key}.{k}", where) for k, v in value.items()}
    if origin in (list, tuple) and isinstance(value, list):
        return _sequence(kind, origin, inner, value, key, where)
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if origin is None and kind is not float and type(value) is kind:
        return value
    raise _refused(where, key, value, type_name(kind))


def _any_of(kinds: Sequence[Any], value: Any, key: str, where: str) -> Any:
    """``value`` as the first kind that it is; null only where None is among them."""
    others = [kind for kind in kinds if kind is not NoneType]
    if value is None and len(others) < len(kinds):
        return None
    if len(others) == 1:  # what is wrong inside it is told in its own words
        return _value(others[0], value, key, where)
    for kind in others:
        if type(value) is kind:
            return value
    raise _refused(where, key, value, " or ".join(map(type_name, kinds)))


def _sequence(kind: Any, origin: Any, inner: Sequence[Any], value: list[Any], key: str, where: str) -> Any:
    fixed = origin is tuple and inner[-1] is not Ellipsis
    if fixed and len(value) != len(inner):
        raise _refused(where, key, value, type_name(kind))
    kinds = inner if fixed else [inner[0]] * len(value)
    return origin(_value(k, v, f"{key}[{i}]", where) for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _key(kind: Any, key: Any, where_key: str, where: str) -> Any:
    if kind is not int:
        return str(key)
    if not (isinstance(key, str) and key.isdecimal() and len(key) < 10):
        raise InputFileError(f"{where}: {where_key} has the key {_shown(key)}: expected a whole number")
    return int(key)


def _refused(where: str, key: str, value: Any, expected: str) -> InputFileError:
    return InputFileError(f"{where}: {key or 'it'} is {_shown(value)}: expected {expected}")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _bare(kind: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """A type without its annotations, its origin and its arguments."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind, get_origin(kind), get_args(kind)


# --- telling ---------------------------------------------------------------------------------------------------------

_NAMES = {int: "integer", float: "number", str: "string", bool: "true or false", NoneType: "null"}


def type_name(kind: Any) -> str:
    """A type as JSON's words have it."""
    kind, origin, inner = _bare(kind)
    if origin in (Union, UnionType):
        return " or ".join(map(type_name, inner))
    if origin is dict:
        return f"object of {type_name(inner[1])}"
    if origin is list or (origin is tuple and inner[-1] is Ellipsis):
        return f"list of {type_name(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} {type_name(inner[0])}s"
    return "object" if is_dataclass(kind) else str(_NAMES[kind])


def rows(kind: Any, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(key, type, unit, meaning) of every field of a result, with those of the objects inside it."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        told = [part for part in _annotations(hint) if isinstance(part, Is)]
        meaning, unit = (next((text for text in texts if text), "") for texts in zip(*map(_texts, told), strict=True))
        key = prefix + field.name
        yield key, type_name(hint), unit, meaning
        inside, path = _inside(hint)
        if inside is not None:
            yield from rows(inside, f"{key}{path}.")


def _texts(told: Is) -> tuple[str, str]:
    return told.meaning, told.unit


def _annotations(kind: Any) -> list[Any]:
    """Those of the field itself, the last first, and then those of what it may be."""
    own = list(reversed(getattr(kind, "__metadata__", ())))
    _, origin, inner = _bare(kind)
    return own + [part for one in inner if origin in (Union, UnionType) for part in _annotations(one)]


def _inside(kind: Any, path: str = "") -> tuple[Any, str]:
    """The dataclass that a field holds, if it does, and how one gets there: "", "[]" or ".NAME"."""
    kind, origin, inner = _bare(kind)
    if is_dataclass(kind):
        return kind, path
    step = {dict: ".NAME", list: "[]", tuple: "[]"}.get(origin, "")
    for one in inner if origin in (Union, UnionType) else inner[-1:] if origin is dict else inner[:1]:
        found = _inside(one, path + step)
        if found[0] is not None:
            return found
    return None, ""
