"""What a page knows of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airctl.config import Config

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RunReport:
    """All that a page shows of one run, as its files have it."""

    name: str
    path: str
    config: Config
    command: str
    command_is_own: bool  # whether this machine wrote it
    environment: Record
    data: Record
    metrics: Sequence[Record]
    frames: Sequence[Record]
    result: Record  # eval.json
    gallery: Record  # gallery.json
    variance: Record | None  # variance.json
