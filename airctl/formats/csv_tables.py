"""CSV: counts.csv has a row for each picture, objects.csv one for each object."""

from __future__ import annotations

from os import SEEK_END
from pathlib import Path

from airctl.errors import InputFileError
from airctl.files import append, storage_errors, sync, write_text
from airctl.formats.rows import row
from airctl.formats.writer import Writer
from airctl.results.found import FoundPicture

COUNTS = ("image", "count", "fit", "at_limit", "verdict", "probability")  # probability: of the count
OBJECTS = ("image", "object", "x0", "y0", "x1", "y1", "probability")  # object: 1, 2...; edges in pixels


class CsvTables(Writer):
    """Rows reach the files with each picture, its objects before its count: what has a count is whole.

    With ``resume`` rows are added to the tables of an earlier run; ``InputFileError`` if they are not such tables or
    end within a row. Otherwise those tables are replaced.
    """

    def __init__(self, folder: Path, resume: bool = False) -> None:
        super().__init__(folder)
        self.counts, self.objects = folder / "counts.csv", folder / "objects.csv"
        for path, columns in ((self.objects, OBJECTS), (self.counts, COUNTS)):
            if resume and path.exists():
                _check(path, row(*columns))
            else:
                write_text(path, row(*columns))

    def add(self, found: FoundPicture) -> None:
        """Append the rows of one picture."""
        objects = (row(found.image, i, *thing.box, thing.probability) for i, thing in enumerate(found.boxes, 1))
        append(self.objects, "".join(objects))
        chance = dict(enumerate(found.probabilities, found.first)).get(found.count)
        append(self.counts, row(found.image, found.count, found.fit, found.at_limit, found.verdict, chance))

    def close(self) -> None:
        """Have the tables on the disk."""
        for path in (self.objects, self.counts):
            with storage_errors(path):
                sync(path)


def _check(path: Path, header: str) -> None:
    try:
        with open(path, "rb") as stream:
            first = stream.readline(len(header))
            end = first and stream.seek(-1, SEEK_END) and stream.read()
    except OSError as error:
        raise InputFileError(f"{path} cannot be read ({error.strerror}): choose another folder") from error
    if first != header.encode():
        raise InputFileError(f"{path} does not begin with the row {header.strip()}: choose another folder")
    if end != b"\n":
        raise InputFileError(f"{path} ends within a row: remove that row, or choose another folder")
