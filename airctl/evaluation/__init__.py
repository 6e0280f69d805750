"""What was found against what is true: counts, boxes, failures, collapse. No paths, no files."""

from airctl.evaluation.counts import CountReport, evaluate_counts
from airctl.evaluation.detection import DetectionReport, evaluate_boxes
from airctl.evaluation.failures import OUTCOMES, RIGHT, outcomes, shares

__all__ = [
    "OUTCOMES",
    "RIGHT",
    "CountReport",
    "DetectionReport",
    "evaluate_boxes",
    "evaluate_counts",
    "outcomes",
    "shares",
]
