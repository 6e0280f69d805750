"""The door between results and JSON: what goes out comes back, and nothing else comes in."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from airctl.errors import InputFileError
from airctl.results.as_json import Is, dumps, from_json, read, read_object, rows, to_json


@dataclass(frozen=True)
class Inner:
    """Part of a result."""

    share: Annotated[float, Is("a part", "0 to 1")]
    pair: tuple[float, float] | None


@dataclass(frozen=True)
class Result:
    """A result with a field of every kind."""

    name: Annotated[str, Is("what it is called")]
    number: int
    by_count: dict[int, float]
    inner: list[Inner]
    named: dict[str, Inner]
    mixed: int | str
    on: bool = True
    maybe: float | None = None


WHOLE = Result("n", 3, {0: 0.5, 2: 1.0}, [Inner(0.25, (1.0, 2.0)), Inner(1.0, None)], {"a": Inner(0.5, None)}, "word")


def test_what_goes_out_comes_back() -> None:
    """Through text too: every type, keys that are numbers, and the number of the format."""
    told = json.loads(dumps(WHOLE))
    assert told["schema"] == 1
    assert told["by_count"] == {"0": 0.5, "2": 1.0}
    assert from_json(Result, told, "f") == WHOLE
    assert from_json(Result, {**told, "later": 1}, "f") == WHOLE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null(value: float) -> None:
    """At the top and inside; JSON has no other word for it."""
    told = json.loads(dumps(Result("n", 1, {1: value}, [Inner(value, (0.0, value))], {}, 1, maybe=value)))
    assert told["maybe"] is told["by_count"]["1"] is told["inner"][0]["share"] is told["inner"][0]["pair"][1] is None
    assert "NaN" not in json.dumps(told)


WRONG: list[tuple[str, Any, str]] = [
    ("number", True, "number is true: expected integer"),
    ("number", 1.5, "number is 1.5: expected integer"),
    ("number", "1", 'number is "1": expected integer'),
    ("name", 3, "name is 3: expected string"),
    ("on", 1, "on is 1: expected true or false"),
    ("maybe", "x", 'maybe is "x": expected number'),
    ("mixed", 1.5, "mixed is 1.5: expected integer or string"),
    ("by_count", {"x": 1}, 'by_count has the key "x": expected a whole number'),
    ("by_count", {"1": None}, "by_count.1 is null: expected number"),
    ("by_count", [1], "by_count is [1]: expected object of number"),
    ("inner", {}, "inner is {}: expected list of object"),
    ("inner", [{"share": 1}], "inner[0].pair is missing: expected 2 numbers or null"),
    ("inner", [{"share": 1, "pair": [1]}], "inner[0].pair is [1]: expected 2 numbers"),
    ("named", {"a": 3}, "named.a is 3: expected an object"),
    ("schema", 2, "has schema 2 where this airctl reads 1"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), WRONG, ids=[f"{k}={v}" for k, v, _ in WRONG])
def test_what_is_wrong_is_named_with_its_key(key: str, value: Any, sentence: str, tmp_path: Path) -> None:
    """File, key, what was found and what was expected, and what to do."""
    (tmp_path / "r.json").write_text(json.dumps(to_json(WHOLE) | {key: value}))
    with pytest.raises(InputFileError) as caught:
        read(Result, tmp_path / "r.json", "make it again")
    assert str(caught.value).startswith(str(tmp_path / "r.json"))
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("; make it again")


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, '{"schema": NaN}', "\udcff"])
def test_what_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    """Whatever a file holds, the answer is one sentence."""
    (tmp_path / "r.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputFileError, match=r"r\.json"):
        read(Result, tmp_path / "r.json", "")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_of_json_is_refused(number: str, tmp_path: Path) -> None:
    """Python would read it; the control is the largest double."""
    (tmp_path / "a.json").write_text(f'{{"a": {number}}}')
    with pytest.raises(InputFileError, match="is no number of JSON"):
        read_object(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": 1.7976931348623157e308}')
    assert read_object(tmp_path / "a.json") == {"a": 1.7976931348623157e308}


def test_an_error_of_a_bug_looks_like_a_bug() -> None:
    """The negative control: a field of a type that no JSON has is not the user's mistake."""

    @dataclass(frozen=True)
    class Broken:
        value: set  # type: ignore[type-arg]

    with pytest.raises(TypeError):
        dumps(Broken({1}))


def test_rows_lead_to_every_key() -> None:
    """Fields of lists and of objects with data for keys are part of the table."""
    keys = {key: (kind, unit, meaning) for key, kind, unit, meaning in rows(Named)}
    assert keys["inner[].share"] == ("number", "0 to 1", "a part")
    assert "named.NAME.share" in keys


@dataclass(frozen=True)
class Named:
    """A result all of whose fields have a meaning."""

    inner: Annotated[list[Whole], Is("a list")]
    named: Annotated[dict[str, Whole], Is("an object")]


@dataclass(frozen=True)
class Whole:
    """Part of it."""

    share: Annotated[float, Is("a part", "0 to 1")]
