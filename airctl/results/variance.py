"""What ``airctl variance-report`` measured: gradient estimators at one checkpoint, or at several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.table_1 import Table1Row
from airctl.results.units import Seconds, Sha256, Steps

_GRADIENT = "gradient of -ELBO"
Norm = Annotated[float, Is("", _GRADIENT)]
Variance = Annotated[float, Is("", f"({_GRADIENT})^2")]


@dataclass(frozen=True)
class GroupReport:
    """What M gradients of one estimator say in one group of parameters, the loss being -ELBO in nats per scene."""

    norm_mean: Annotated[Norm, Is("mean of the gradient's norm")]
    norm_variance: Annotated[Variance, Is("variance of the gradient's norm, the figure of Drelich 2019")]
    norm_variance_error: Annotated[Variance, Is("its standard error")]
    total_variance: Annotated[Variance, Is("trace of the gradient's covariance")]
    total_variance_error: Annotated[Variance, Is("its standard error")]
    largest_variance: Annotated[Variance, Is("of any one coordinate")]
    bias: Annotated[Norm, Is("norm of E[gradient] - E[exact gradient], with what sampling adds to it taken off")]
    bias_interval: Annotated[
        tuple[float, float] | None,
        Is("95 % interval of the bias along the direction that the first half points in", _GRADIENT),
    ]
    bias_p_value: Annotated[float | None, Is("of no bias; null before there is anything to test it with", "0 to 1")]
    relative_bias: Annotated[float, Is("bias / norm of the mean exact gradient")]
    relative_bias_interval: Annotated[
        tuple[float, float] | None, Is("bias_interval / norm of the mean exact gradient", "")
    ]
    cosine: Annotated[float, Is("of the mean gradient with the mean exact gradient", "-1 to 1")]
    signal_to_noise: Annotated[float, Is("norm of the mean gradient / square root of the total variance")]
    efficiency: Annotated[
        float | None, Is("total variance x relative cost: what a mean of given precision costs; small is good")
    ]


@dataclass(frozen=True)
class EstimatorReport(GroupReport):
    """The same over all parameters, where ``bias_p_value`` also looks at the z_pres head alone; and by group."""

    inference_norm_variance: Annotated[
        Variance, Is("of phi with the head of z_pres: variance of the gradient's norm, rows 2 and 3 of Drelich 2019")
    ]
    inference_norm_variance_error: Annotated[Variance, Is("its standard error")]
    seconds_per_sample: Annotated[Seconds, Is("a roll-out (or the several it needs) and this estimator's gradient")]
    relative_cost: Annotated[float | None, Is("in units of backprop's; null if that was not measured")]
    copies: Annotated[int, Is("roll-outs of each scene")]
    samples: Annotated[int, Is("M, gradients taken", "samples")]
    groups: Annotated[dict[str, GroupReport], Is("the same by group of parameters: theta, phi, z_pres")]


@dataclass(frozen=True, kw_only=True)
class VarianceAtStep:
    """The estimators at one checkpoint."""

    step: Annotated[Steps, Is("of the checkpoint; 0 is the untrained model")]
    weights_sha256: Annotated[Sha256 | None, Is("of the checkpoint's weights; null in older results")] = None
    samples: Annotated[int, Is("gradients that every estimator here has", "samples")]
    samples_asked: Annotated[int, Is("gradients that were asked for", "samples")]
    left_out: Annotated[list[str], Is("estimators that were not reached before a stop")]
    batch: Annotated[int, Is("of the one batch that is measured", "scenes")]
    fitted: Annotated[list[str], Is("estimators whose baseline was fitted on the frozen model")]
    parameters: Annotated[dict[str, int], Is("numbers in each group of parameters")]
    estimators: Annotated[dict[str, EstimatorReport], Is("the figures of each estimator")]


@dataclass(frozen=True, kw_only=True)
class VarianceReport(VarianceAtStep):
    """The latest checkpoint that was measured, and all of them."""

    run: Annotated[str, Is("the run folder or exported model")]
    data_sha256: Annotated[Sha256 | None, Is("of the scene file; null in older results")] = None
    seed: Annotated[int, Is("of the noise")]
    fit_steps: Annotated[int, Is("of fitting a baseline that the run has not trained", "steps")]
    checkpoints: Annotated[list[VarianceAtStep], Is("every checkpoint that was measured, by rising step")]
    stopped_by: Annotated[int | None, Is("the signal that stopped it, if one did")] = None
    table_1: Annotated[
        list[Table1Row] | None, Is("Table 1 of Drelich 2019 row by row, if asked for; the report's three first")
    ] = None
