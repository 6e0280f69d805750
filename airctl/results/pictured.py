"""Scenes kept for pictures: the gallery of an evaluation and the frames of a training. Pictures are PNGs in base64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airctl.results.outcomes import outcome_key
from airctl.results.units import Edges


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One scene and what was made of it; ``records.scene_record`` writes it."""

    true: int
    found: int
    side: int
    boxes: list[Edges]
    true_boxes: list[Edges]
    image: str
    drawn: str


@dataclass(frozen=True, kw_only=True)
class GalleryScene(Scene):
    """One scene of an evaluation."""

    scene: int
    outcome: str


@dataclass(frozen=True)
class Frame:
    """The watched scenes after some steps of training."""

    step: int
    scenes: list[Scene]


@dataclass(frozen=True)
class Glimpse:
    """What one step saw, and what it drew."""

    glimpse: str
    object: str


@dataclass(frozen=True)
class Glimpsed:
    """A scene with the glimpse of each step."""

    image: str
    side: int
    boxes: list[Edges]
    steps: list[Glimpse]


@dataclass(frozen=True)
class TraversalRow:
    """One object as one number of its z_what changes."""

    number: int
    objects: list[str]


@dataclass(frozen=True)
class Traversal:
    """One object as each of some numbers of its z_what goes through ``values``."""

    values: list[float]
    rows: list[TraversalRow]


@dataclass(frozen=True)
class Gallery:
    """What an evaluation keeps for pictures."""

    step: int
    scenes: list[GalleryScene]
    glimpses: list[Glimpsed]
    prior: list[list[str]]
    traversal: Traversal

    @classmethod
    def of_older(cls, mapping: Mapping[str, Any]) -> dict[str, Any]:
        """A gallery.json from before there was a schema: its outcomes have names with spaces."""
        scenes = mapping.get("scenes")
        if not isinstance(scenes, list):
            return dict(mapping)
        return {**mapping, "scenes": [_with_key(scene) for scene in scenes]}


def _with_key(scene: Any) -> Any:
    if isinstance(scene, dict) and isinstance(scene.get("outcome"), str):
        return {**scene, "outcome": outcome_key(scene["outcome"])}
    return scene
