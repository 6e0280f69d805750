"""FeatureCollections as QuPath imports them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from samples import ACROSS, INSIDE, found

from airctl.formats.geojson import GeoJson


def test_boxes_come_back_as_closed_polygons(tmp_path: Path) -> None:
    """Five corners, the last the first (RFC 7946); what QuPath reads of each: type, name, class, probability."""
    with GeoJson(tmp_path) as geojson:
        geojson.add(found("x.png", *INSIDE, ACROSS))
    collection = json.loads((tmp_path / "0001_x.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    for number, (feature, box) in enumerate(zip(collection["features"], [*INSIDE, ACROSS], strict=True), 1):
        assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Polygon")
        (ring,) = feature["geometry"]["coordinates"]
        assert len(ring) == 5
        assert ring[0] == ring[-1]
        x, y = np.array(ring[:-1]).T
        assert (x.min(), y.min(), x.max(), y.max()) == box
        # the shoelace formula gives the box's area only if the corners are in order
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        np.testing.assert_allclose(area, (box[2] - box[0]) * (box[3] - box[1]))
        assert feature["properties"] == {
            "objectType": "detection",
            "name": str(number),
            "classification": {"name": "object"},
            "measurements": {"probability": 1 - number / 100},
        }


def test_a_picture_without_objects_has_an_empty_collection(tmp_path: Path) -> None:
    """A file that imports nothing, not a missing one."""
    with GeoJson(tmp_path) as geojson:
        geojson.add(found("empty.png"))
    assert json.loads((tmp_path / "0001_empty.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
