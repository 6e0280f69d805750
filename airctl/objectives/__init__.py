"""From objects to a loss: one file for each gradient estimator of the count, one table of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from airctl.config import Config, lookup
from airctl.objectives.baselines import Baseline, MovingAverage, NeuralBaseline, NoBaseline
from airctl.objectives.concrete import Concrete, Temperature
from airctl.objectives.cut_and_paste import CutAndPaste
from airctl.objectives.defensive import Defensive, Share
from airctl.objectives.disarm import DisARM
from airctl.objectives.dreg import DReG
from airctl.objectives.exact import Exact
from airctl.objectives.gumbel_rao import GumbelRao
from airctl.objectives.labelled import Labelled, Labels, require_summed_out
from airctl.objectives.likelihood_reward import likelihood_signal
from airctl.objectives.marginal import Marginal
from airctl.objectives.marginal_path import MarginalPath
from airctl.objectives.measure_valued import MeasureValued
from airctl.objectives.muprop import MuProp
from airctl.objectives.nvil import NVIL
from airctl.objectives.rebar import Rebar
from airctl.objectives.relax import Relax
from airctl.objectives.reweighted_wake_sleep import ReweightedWakeSleep
from airctl.objectives.rloo import RLOO
from airctl.objectives.score_function import ScoreFunction, Signal, no_signal, per_step_signal, whole_signal
from airctl.objectives.sticking_the_landing import StickingTheLanding
from airctl.objectives.straight_through import StraightThrough
from airctl.objectives.terms import Estimator, Surrogate, Terms, observe, terms_of
from airctl.objectives.vimco import VIMCO


def _neural(config: Config, mask: str) -> NeuralBaseline:
    sizes, settings = config.model, config.objective
    return NeuralBaseline(sizes.canvas, sizes.what, settings.baseline_hidden, mask, settings.baseline_head)


def _reward(config: Config) -> Signal:
    return partial(likelihood_signal, constant=config.objective.reward_constant)


def _temperature(config: Config) -> Temperature:
    settings = config.objective
    return Temperature(settings.temperature_start, settings.temperature, settings.temperature_anneal_steps)


def _tempering(config: Config) -> Temperature:
    settings = config.objective
    return Temperature(settings.temper, 1.0, min(settings.temper_steps, config.train.steps // 4))


ESTIMATORS: Mapping[str, Callable[[Config], Estimator]] = {
    "exact": lambda config: Exact(),
    "marginal": lambda config: Marginal(_tempering(config), config.objective.map_weight),
    "marginal-path": lambda config: MarginalPath(_tempering(config), config.objective.map_weight),
    "sticking-the-landing": lambda config: StickingTheLanding(),
    "defensive": lambda config: Defensive(Share(config.objective.share, config.train.steps)),
    "backprop": lambda config: ScoreFunction(no_signal, NoBaseline()),
    "score-function": lambda config: ScoreFunction(per_step_signal, NoBaseline()),
    "score-function-likelihood": lambda config: ScoreFunction(_reward(config), NoBaseline()),
    "score-function-average": lambda config: ScoreFunction(per_step_signal, MovingAverage(config.model.num_steps)),
    "score-function-neural": lambda config: ScoreFunction(per_step_signal, _neural(config, "previous")),
    "nvil": lambda config: NVIL(_neural(config, "previous")),
    "rloo": lambda config: RLOO(config.objective.samples),
    "measure-valued": lambda config: MeasureValued(),
    "arm": lambda config: DisARM(plain=True),
    "disarm": lambda config: DisARM(),
    "vimco": lambda config: VIMCO(config.objective.samples),
    "dreg": lambda config: DReG(config.objective.samples),
    "concrete": lambda config: Concrete(_temperature(config)),
    "straight-through": lambda config: StraightThrough(_temperature(config)),
    "gumbel-rao": lambda config: GumbelRao(_temperature(config), config.objective.samples),
    "muprop": lambda config: MuProp(),
    "rebar": lambda config: Rebar(config.objective.temperature),
    "relax": lambda config: Relax(config.objective.temperature, config.model.num_steps),
    "reweighted-wake-sleep": lambda config: ReweightedWakeSleep(config.objective.samples),
    "report-2019": lambda config: ScoreFunction(_reward(config), _neural(config, "current")),
}


def require_known(name: str) -> None:
    """Raise ``ConfigError``, with the nearest name there is, unless ``name`` is an estimator's."""
    lookup(ESTIMATORS, "estimator", name)


def estimator(name: str, config: Config) -> Estimator:
    """The estimator of that name, with the sizes of ``config``; ``ConfigError`` names the nearest one otherwise."""
    return lookup(ESTIMATORS, "estimator", name)(config)


__all__ = [
    "ESTIMATORS",
    "NVIL",
    "RLOO",
    "VIMCO",
    "Baseline",
    "Concrete",
    "CutAndPaste",
    "DReG",
    "Defensive",
    "DisARM",
    "Estimator",
    "Exact",
    "GumbelRao",
    "Labelled",
    "Labels",
    "Marginal",
    "MarginalPath",
    "MeasureValued",
    "MovingAverage",
    "MuProp",
    "NeuralBaseline",
    "NoBaseline",
    "Rebar",
    "Relax",
    "ReweightedWakeSleep",
    "ScoreFunction",
    "Share",
    "StickingTheLanding",
    "StraightThrough",
    "Surrogate",
    "Temperature",
    "Terms",
    "estimator",
    "likelihood_signal",
    "no_signal",
    "observe",
    "per_step_signal",
    "require_known",
    "require_summed_out",
    "terms_of",
    "whole_signal",
]
