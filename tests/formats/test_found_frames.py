"""Found objects in pandas, and as supervision is given them."""

from __future__ import annotations

import sys
import warnings
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
from airctl.formats.dataframes import to_pandas, to_supervision
from airctl.inference import Box, Found


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
    with pytest.raises(ConfigError, match=rf"pip install 'airctl\[{package}\]'"):
        convert(found("x.png", *INSIDE))


def predicted(*boxes: tuple[float, float, float, float]) -> Found:
    """What ``predict`` returns for a picture 60 x 40 with these objects, all of them certain but a third."""
    canvas = np.zeros((40, 60), np.uint8)
    return Found(
        image="x.png", count=len(boxes), first=0, probabilities=(1.0,), fit=1.0, at_limit=False, verdict="fine",
        boxes=tuple(Box(box, 2 / 3) for box in boxes),
        picture=canvas, canvas=canvas, reconstruction=canvas.astype(np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("boxes", [(), (*INSIDE, ACROSS)])
def test_a_prediction_as_a_frame_is_what_its_objects_csv_reads_as(tmp_path: Path, boxes: tuple[Any, ...]) -> None:
    """The method rounds as the file does: to a tenth of a pixel."""
    one = predicted(*((x0 + 0.04, y0, x1, y1) for x0, y0, x1, y1 in boxes))
    with CsvTables(tmp_path) as tables:
        tables.add(one.result())
    frame = one.to_pandas()
    pandas.testing.assert_frame_equal(frame, pandas.read_csv(tmp_path / "objects.csv"), check_dtype=bool(boxes))
    assert frame["x0"].tolist() == [x0 for x0, *_ in boxes]
    assert frame["probability"].tolist() == [0.6667] * len(boxes)


@pytest.mark.parametrize("boxes", [(), (*INSIDE, ACROSS)])
def test_supervision_itself_takes_a_prediction(boxes: tuple[Any, ...]) -> None:
    """Its Detections hold the boxes and probabilities, can be filtered, and know their areas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it does without OpenCV
        supervision = pytest.importorskip("supervision")
        detections = predicted(*boxes).to_supervision()
        assert isinstance(detections, supervision.Detections)
        assert len(detections) == len(boxes)
        areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]
        np.testing.assert_allclose(detections.area, areas, rtol=1e-4)
        np.testing.assert_allclose(detections.confidence, np.full(len(boxes), 0.6667), rtol=1e-6)
        assert len(detections[detections.confidence > 0.7]) == 0


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_a_prediction_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """One sentence, no ImportError."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"pip install 'airctl\[{package}\]'"):
        getattr(predicted(*INSIDE), f"to_{package}")()
