"""What a model is worth: counts, and how well its gradient behaves. Models and arrays in, numbers out; no paths."""

from airctl.evaluation.counts import CountReport, evaluate_counts, infer_counts
from airctl.evaluation.detection import DetectionReport, evaluate_boxes
from airctl.evaluation.variance import EstimatorReport, fit_baseline, measure_variance

__all__ = [
    "CountReport",
    "DetectionReport",
    "EstimatorReport",
    "evaluate_boxes",
    "evaluate_counts",
    "fit_baseline",
    "infer_counts",
    "measure_variance",
]
