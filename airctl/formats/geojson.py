"""GeoJSON: a FeatureCollection for each picture, as QuPath imports and exports its objects."""

from __future__ import annotations

import json
from typing import Any

from airctl.files import write_text
from airctl.formats.writer import CATEGORY, PerPicture
from airctl.results.found import FoundObject, FoundPicture


class GeoJson(PerPicture):
    """NAME.geojson: each box a closed polygon in pixels of the picture, a QuPath "detection" with its probability."""

    def write(self, name: str, found: FoundPicture) -> None:
        """Write NAME.geojson."""
        features = [_feature(i, thing) for i, thing in enumerate(found.boxes, 1)]
        write_text(self.folder / f"{name}.geojson", json.dumps({"type": "FeatureCollection", "features": features}))


def _feature(number: int, thing: FoundObject) -> dict[str, Any]:
    x0, y0, x1, y1 = thing.box
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
        "properties": {
            "objectType": "detection",
            "name": str(number),
            "classification": {"name": CATEGORY},
            "measurements": {"probability": thing.probability},
        },
    }
