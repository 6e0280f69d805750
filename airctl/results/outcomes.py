"""What can become of a scene, by the names that results have for it (what they mean: ``evaluation.failures``)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Share


@dataclass(frozen=True)
class OutcomeShares:
    """The share of the scenes that each outcome has; they sum to 1."""

    right: Annotated[Share, Is("count, poses and reconstruction are right")]
    several_steps_on_one_object: Annotated[Share, Is("an object was attended to more than once")]
    needless_step: Annotated[Share, Is("a step attended to no object")]
    two_objects_taken_for_one: Annotated[Share, Is("one step covers two objects")]
    object_missed: Annotated[Share, Is("no step attended to an object")]
    wrong_pose_or_bad_reconstruction: Annotated[Share, Is("the count is right and something else is not")]

    def items(self) -> list[tuple[str, float]]:
        """Name and share of each."""
        return [(name, getattr(self, name)) for name in OUTCOMES]


OUTCOMES = tuple(field.name for field in fields(OutcomeShares))


def outcome_key(name: str) -> str:
    """An outcome's key, also of a name that an older file has with spaces."""
    return name.replace(" ", "_")
