"""From a trained model and pictures to objects. It knows nothing of truth, of runs or of files."""

from airctl.inference.detections import Detections, detections, find, ink_boxes
from airctl.inference.effort import CROWDED, USUAL, Effort
from airctl.inference.passes import CHUNK, passes
from airctl.inference.pictures import Box, Found, find_in_pictures
from airctl.inference.refine import explanations

__all__ = [
    "CHUNK",
    "CROWDED",
    "USUAL",
    "Box",
    "Detections",
    "Effort",
    "Found",
    "detections",
    "explanations",
    "find",
    "find_in_pictures",
    "ink_boxes",
    "passes",
    "rollouts",
]
