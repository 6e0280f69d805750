"""From a roll-out to a loss: one file for each gradient estimator of the count, one table of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airctl.config import Config, hint
from airctl.errors import ConfigError
from airctl.objectives.baselines import Baseline, MovingAverage, NeuralBaseline, NoBaseline
from airctl.objectives.exact import Exact
from airctl.objectives.score_function import ScoreFunction, likelihood_signal, no_signal, per_step_signal, whole_signal
from airctl.objectives.terms import CountTerms, Estimator, Surrogate, count_terms


def _neural(config: Config, mask: str) -> NeuralBaseline:
    return NeuralBaseline(config.model.canvas, config.model.what, config.objective.baseline_hidden, mask)


ESTIMATORS: Mapping[str, Callable[[Config], Estimator]] = {
    "exact": lambda config: Exact(),
    "backprop": lambda config: ScoreFunction(no_signal, NoBaseline()),
    "score-function": lambda config: ScoreFunction(per_step_signal, NoBaseline()),
    "score-function-average": lambda config: ScoreFunction(per_step_signal, MovingAverage(config.model.num_steps)),
    "score-function-neural": lambda config: ScoreFunction(per_step_signal, _neural(config, "previous")),
    "report-2019": lambda config: ScoreFunction(likelihood_signal, _neural(config, "current")),
}


def require_known(name: str) -> None:
    """Raise ``ConfigError``, with the nearest name there is, unless ``name`` is an estimator's."""
    if name not in ESTIMATORS:
        raise ConfigError(f"there is no estimator {name!r}{hint(name, ESTIMATORS)}")


def estimator(name: str, config: Config) -> Estimator:
    """The estimator of that name, with the sizes of ``config``; ``ConfigError`` names the nearest one otherwise."""
    require_known(name)
    return ESTIMATORS[name](config)


__all__ = [
    "ESTIMATORS",
    "Baseline",
    "CountTerms",
    "Estimator",
    "Exact",
    "MovingAverage",
    "NeuralBaseline",
    "NoBaseline",
    "ScoreFunction",
    "Surrogate",
    "count_terms",
    "estimator",
    "likelihood_signal",
    "no_signal",
    "per_step_signal",
    "require_known",
    "whole_signal",
]
