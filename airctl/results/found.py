"""What ``airctl infer`` found in one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.door import Is
from airctl.results.units import Edges, Share


@dataclass(frozen=True)
class FoundObject:
    """One object, in the order in which the model attended."""

    box: Annotated[Edges, Is("x0, y0, x1, y1 of what was drawn for it", "pixels of the picture")]
    probability: Annotated[Share, Is("that there is such an object: q(n >= i) of the i-th")]


@dataclass(frozen=True)
class FoundPicture:
    """Count and objects of one picture."""

    image: Annotated[str, Is("the file; of a stack, the file and [place]")]
    count: Annotated[int, Is("the most probable number of objects", "objects")]
    probabilities: Annotated[list[float], Is("q(n) of n = 0, 1, ... objects", "0 to 1")]
    boxes: Annotated[list[FoundObject], Is("as many as were counted")]
