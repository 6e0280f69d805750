"""Found objects in pandas, and as supervision is given them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest
from samples import ACROSS, INSIDE, found

from airctl.errors import ConfigError
from airctl.formats.csv_tables import CsvTables
from airctl.formats.frames import to_pandas, to_supervision


@pytest.mark.parametrize("boxes", [(), (*INSIDE, ACROSS)])
def test_a_frame_is_what_objects_csv_reads_as(tmp_path: Path, boxes: tuple[Any, ...]) -> None:
    """Names of columns and values are the same; without objects the columns still are there and numbers."""
    picture = found("x.png", *boxes)
    with CsvTables(tmp_path) as tables:
        tables.add(picture)
    frame = to_pandas(picture)
    pandas.testing.assert_frame_equal(frame, pandas.read_csv(tmp_path / "objects.csv"), check_dtype=bool(boxes))
    assert frame[["x0", "y0", "x1", "y1", "probability"]].dtypes.eq("float64").all()
    assert frame["object"].dtype == "int64"


def test_frames_of_pictures_can_be_put_together() -> None:
    """With an empty one among them no column changes its type."""
    frame = pandas.concat([to_pandas(found("=a.png", *INSIDE)), to_pandas(found("b.png"))])
    assert frame["image"].tolist() == ["=a.png"] * 2
    assert frame["object"].dtype == "int64"


@pytest.mark.parametrize("boxes", [(), (*INSIDE, ACROSS)])
def test_supervision_is_given_boxes_and_confidence(monkeypatch: pytest.MonkeyPatch, boxes: tuple[Any, ...]) -> None:
    """The shapes and types that Detections checks; a stand-in for the package takes the call."""
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=SimpleNamespace))
    detections = to_supervision(found("x.png", *boxes))
    assert (detections.xyxy.shape, detections.xyxy.dtype) == ((len(boxes), 4), np.float32)
    np.testing.assert_allclose(detections.xyxy, np.array(boxes).reshape(-1, 4), atol=1e-4)
    assert detections.confidence.dtype == np.float32
    np.testing.assert_allclose(detections.confidence, [0.99, 0.98, 0.97][: len(boxes)])
    assert detections.class_id.tolist() == [0] * len(boxes)
    assert detections.data["class_name"].tolist() == ["object"] * len(boxes)


@pytest.mark.parametrize(("convert", "package"), [(to_pandas, "pandas"), (to_supervision, "supervision")])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, convert: Callable[[Any], Any], package: str
) -> None:
    """The sentence says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f"pip install {package}"):
        convert(found("x.png", *INSIDE))
