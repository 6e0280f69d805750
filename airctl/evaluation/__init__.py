"""What was found against what is true: counts, boxes, failures, collapse. No paths, no files."""

from airctl.evaluation.box_accuracy import evaluate_boxes
from airctl.evaluation.counts import evaluate_counts
from airctl.evaluation.densities import evaluate_densities
from airctl.evaluation.failures import RIGHT, outcomes, shares
from airctl.results.outcomes import OUTCOMES

__all__ = [
    "OUTCOMES",
    "RIGHT",
    "evaluate_boxes",
    "evaluate_counts",
    "evaluate_densities",
    "outcomes",
    "shares",
]
