"""Numbers that recur in results, each with its unit."""

from __future__ import annotations

from typing import Annotated

from airctl.results.as_json import Is

Share = Annotated[float, Is("", "0 to 1")]
Steps = Annotated[int, Is("", "training steps")]
Sha256 = Annotated[str, Is("", "hexadecimal")]
Seconds = Annotated[float, Is("", "seconds")]
Bytes = Annotated[int, Is("", "bytes")]
Edges = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels
