"""Found objects as the files that other tools read: one file for each format, and ``FORMATS`` with their names."""

from __future__ import annotations

from pathlib import Path

from airctl.errors import ConfigError
from airctl.formats.coco import Coco
from airctl.formats.csv_tables import CsvTables
from airctl.formats.geojson import GeoJson
from airctl.formats.imagej import ImageJ
from airctl.formats.labels import Labels
from airctl.formats.writer import Writer
from airctl.formats.yolo import Yolo

FORMATS: dict[str, type[Writer]] = {
    "csv": CsvTables,
    "coco": Coco,
    "yolo": Yolo,
    "labels": Labels,
    "imagej": ImageJ,
    "geojson": GeoJson,
}


def open_writer(format: str, folder: Path | str) -> Writer:
    """The writer of that ``format`` (a key of ``FORMATS``) into ``folder``, to be used in a ``with`` statement.

    ``ConfigError`` for another format, and where the library that writes it is not installed.
    """
    if format not in FORMATS:
        raise ConfigError(f"format={format}: expected one of {', '.join(FORMATS)}", "format")
    return FORMATS[format](Path(folder))
