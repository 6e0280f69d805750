"""What was found in one picture, as ``infer`` and ``count`` say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Edges, Sha256, Share, Steps

FINE, AT_LIMIT, UNLIKE = "fine", "at_limit", "unlike"  # the verdicts


@dataclass(frozen=True)
class FoundObject:
    """One object."""

    box: Annotated[Edges, Is("x0, y0, x1, y1 of what was drawn for it", "pixels of the picture")]
    probability: Annotated[Share, Is("that there is such an object")]


@dataclass(frozen=True, kw_only=True)
class FoundOrigin:
    """By which model a folder of counts was made, and its tables as they were then: origin.json."""

    run: Annotated[str, Is("the run folder or exported model")]
    step: Annotated[Steps, Is("of the checkpoint")]
    weights_sha256: Annotated[Sha256, Is("of the checkpoint's weights, or of the exported model")]
    data_sha256: Annotated[Sha256 | None, Is("of the scene file of the training")]
    files: Annotated[dict[str, str], Is("sha256 of counts.csv, objects.csv and counts.html")] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class FoundPicture:
    """Count and objects of one picture."""

    image: Annotated[str, Is("the file; of a stack, the file and [place]")]
    count: Annotated[int, Is("the most probable number of objects", "objects")]
    width: Annotated[int, Is("of the picture", "pixels")]
    height: Annotated[int, Is("of the picture", "pixels")]
    fit: Annotated[float, Is("share of the picture's squared brightness that the objects explain, at most 1")]
    at_limit: Annotated[bool, Is("whether there may be more objects than were looked for")]
    verdict: Annotated[str, Is("fine; at_limit; or unlike: unlike the pictures that the model has learnt from")]
    first: Annotated[int, Is("the least number of objects that probabilities speak of", "objects")]
    probabilities: Annotated[list[float], Is("p(n | x) of n = first, first + 1, ... objects", "0 to 1")]
    boxes: Annotated[list[FoundObject], Is("as many as were counted")]
