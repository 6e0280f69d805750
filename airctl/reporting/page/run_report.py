"""What a page knows of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airctl.config import Config
from airctl.results.checks import EVALUATION, FRAMES, GALLERY, VARIANCE, check

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RunReport:
    """All that a page shows of one run, as its files have it."""

    name: str
    path: str
    config: Config
    command: str
    environment: Record
    data: Record
    metrics: Sequence[Record]
    frames: Sequence[Record]
    result: Record  # eval.json
    gallery: Record  # gallery.json
    variance: Record | None  # variance.json

    def require_whole(self) -> None:
        """``InputFileError`` if a file of the run holds something else than airctl writes."""
        check(self.result, EVALUATION, f"{self.path}/eval.json")
        check(self.gallery, GALLERY, f"{self.path}/gallery.json")
        check(self.frames, FRAMES, f"{self.path}/frames")
        check(self.data, {"path": str}, f"{self.path}/data.json")
        if self.variance is not None:
            check(self.variance, VARIANCE, f"{self.path}/variance.json")
