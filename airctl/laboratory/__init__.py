"""How well a gradient behaves: its variance and its bias, estimator by estimator."""

from airctl.laboratory.baselines import fit_baselines
from airctl.laboratory.variance import measure_variance

__all__ = ["fit_baselines", "measure_variance"]
