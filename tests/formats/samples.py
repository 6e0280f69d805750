"""Pictures with and without objects, to be written by each format."""

from __future__ import annotations

from airctl.results.found import FoundObject, FoundPicture
from airctl.results.units import Edges

INSIDE: tuple[Edges, ...] = ((3.2, 4.0, 17.9, 20.6), (30.0, 11.5, 44.4, 39.3))
ACROSS: Edges = (-4.3, 25.1, 6.2, 45.7)  # over the left and lower border of a picture 60 x 40


def found(image: str, *boxes: Edges, width: int = 60, height: int = 40) -> FoundPicture:
    """What was found in ``image``: one object in each of ``boxes``, the i-th with probability 1 - i / 100."""
    return FoundPicture(
        image=image,
        count=len(boxes),
        width=width,
        height=height,
        fit=0.93,
        at_limit=False,
        verdict="fine",
        first=max(0, len(boxes) - 1),
        probabilities=[0.1, 0.8, 0.1] if boxes else [0.9, 0.1],
        boxes=[FoundObject(box, 1 - i / 100) for i, box in enumerate(boxes, 1)],
    )
