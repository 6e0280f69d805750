"""How well a gradient behaves: its variance and its bias, estimator by estimator."""

from airctl.laboratory.variance import EstimatorReport, fit_baselines, measure_variance

__all__ = ["EstimatorReport", "fit_baselines", "measure_variance"]
