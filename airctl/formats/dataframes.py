"""Found objects as the values that notebooks work with: a pandas DataFrame, Detections of supervision."""

from __future__ import annotations

from typing import Any

import numpy as np

from airctl.formats.csv_tables import OBJECTS
from airctl.formats.writer import CATEGORY, library
from airctl.results.found import FoundPicture

PANDAS, SUPERVISION = "pip install 'airctl[pandas]'", "pip install 'airctl[supervision]'"


def to_pandas(found: FoundPicture) -> Any:
    """A ``pandas.DataFrame`` with the columns of objects.csv and a row for each object; ``ConfigError`` without pandas.

    Edges are float64 pixels of the picture; ``image`` is the name itself, without a spreadsheet's apostrophe.
    """
    pandas = library("pandas", PANDAS)
    numbers = np.array([[*thing.box, thing.probability] for thing in found.boxes], np.float64).reshape(-1, 5)
    columns = [[found.image] * len(numbers), np.arange(1, len(numbers) + 1), *numbers.T]
    return pandas.DataFrame(dict(zip(OBJECTS, columns, strict=True)))


def to_supervision(found: FoundPicture) -> Any:
    """``supervision.Detections`` of the n objects; ``ConfigError`` without supervision.

    xyxy float32 [n, 4] in pixels of the picture, confidence float32 [n] the probabilities, class_id int [n] all 0,
    which its annotators choose colours by.
    """
    supervision = library("supervision", SUPERVISION)
    return supervision.Detections(
        xyxy=np.array([thing.box for thing in found.boxes], np.float32).reshape(-1, 4),
        confidence=np.array([thing.probability for thing in found.boxes], np.float32),
        class_id=np.zeros(len(found.boxes), int),
        data={"class_name": np.array([CATEGORY] * len(found.boxes), dtype=str)},
    )
