"""What ``airctl import`` has made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Sha256


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A file of scenes cut out of pictures, and how the pictures were developed."""

    path: Annotated[str, Is("the file")]
    sha256: Annotated[Sha256, Is("of the file")]
    pictures: Annotated[int, Is("that the scenes were cut out of", "pictures")]
    train: Annotated[int, Is("scenes to train on", "scenes")]
    test: Annotated[int, Is("scenes of the test split", "scenes")]
    counted: Annotated[int, Is("scenes to train on whose count is known", "scenes")]
    seed: Annotated[int, Is("of the places of the scenes")]
    object_size: Annotated[float, Is("diameter of an object", "pixels of the pictures")]
    channel: Annotated[str, Is("what is looked at of a colour picture")]
    invert: Annotated[str, Is("yes if objects are dark on bright")]
    background: Annotated[str, Is("flat if uneven light was taken off")]
    black: Annotated[float, Is("brightness above the background that became black", "0 to 1")]
    white: Annotated[float, Is("brightness above the background that became white", "0 to 1")]
    adapt: Annotated[str, Is("yes if all of this is found out anew for each picture")]
