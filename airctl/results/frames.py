"""The frames of a run, checked where they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airctl.results.as_json import from_json, plain_value
from airctl.results.pictured import Frame


def checked(frames: Iterable[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """Frames as they are drawn from; ``InputFileError`` names ``where`` and what of them airctl does not write."""
    told = f"{where} (delete it if that is all that stands in the way)"
    return [plain_value(from_json(Frame, frame, told)) for frame in frames]
