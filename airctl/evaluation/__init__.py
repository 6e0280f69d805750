"""What a model is worth: counts, and how well its gradient behaves. Models and arrays in, numbers out; no paths."""

from airctl.evaluation.counts import CountReport, evaluate_counts
from airctl.evaluation.detection import DetectionReport, Found, evaluate_boxes, find
from airctl.evaluation.failures import OUTCOMES, RIGHT, outcomes, shares
from airctl.evaluation.variance import EstimatorReport, fit_baselines, measure_variance

__all__ = [
    "OUTCOMES",
    "RIGHT",
    "CountReport",
    "DetectionReport",
    "EstimatorReport",
    "Found",
    "evaluate_boxes",
    "evaluate_counts",
    "find",
    "fit_baselines",
    "measure_variance",
    "outcomes",
    "shares",
]
