"""How well a gradient behaves: its variance and its bias, estimator by estimator."""

from airctl.laboratory.variance import fit_baselines, measure_variance

__all__ = ["fit_baselines", "measure_variance"]
