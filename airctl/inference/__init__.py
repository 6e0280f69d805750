"""From a trained model and pictures to objects. It knows nothing of truth, of runs or of files."""

from airctl.inference.answer import Answer
from airctl.inference.detections import Detections, detections, find
from airctl.inference.images import Images
from airctl.inference.passes import chunk_of, passes
from airctl.inference.pictures import Box, Found, find_in_pictures
from airctl.inference.verdict import usual_of
from airctl.inference.views import check_choices
from airctl.inference.whole import WholePicture, find_in_whole

__all__ = [
    "Answer",
    "Box",
    "Detections",
    "Found",
    "Images",
    "WholePicture",
    "check_choices",
    "chunk_of",
    "detections",
    "find",
    "find_in_pictures",
    "find_in_whole",
    "passes",
    "usual_of",
]
