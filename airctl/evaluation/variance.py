"""The variance and the bias of gradient estimators on one model and one batch: the report's Table 1, and the truth.

Each of M samples is one roll-out with fresh noise; every estimator reads that same roll-out, so its difference from
the exact gradient is measured pairwise. Gradients are streamed (Welford 1962) and never stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from airctl.model import AIR
from airctl.objectives import CountTerms, Estimator, Exact, count_terms


@dataclass(frozen=True)
class EstimatorReport:
    """What M gradients of one estimator say, all over the P parameters of the model, the loss being -ELBO in nats."""

    norm_variance: float  # variance of the gradient's norm, the report's figure
    norm_variance_error: float  # its standard error
    norm_mean: float
    total_variance: float  # trace of the gradient's covariance
    largest_variance: float  # of any one coordinate
    bias: float  # norm of E[gradient] - E[exact gradient], with what sampling adds to it taken off
    bias_p_value: float  # of no bias at all, tested over all parameters and over the z_pres head
    relative_bias: float  # bias / norm of the mean exact gradient
    cosine: float  # of the mean gradient with the mean exact gradient
    seconds_per_sample: float  # a roll-out and this estimator's gradient


class Stream:
    """Mean and variance of vectors seen one at a time (Welford 1962), in float32 like the vectors."""

    def __init__(self) -> None:
        self.number = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, vector: Tensor) -> None:
        self.number += 1
        if self.number == 1:
            self.mean, self.squares = vector.clone(), torch.zeros_like(vector)
            return
        off = vector - self.mean
        self.mean.add_(off, alpha=1 / self.number)
        self.squares.addcmul_(off, vector - self.mean)

    def variances(self) -> Tensor:
        """The variance of each coordinate, [P]; nan for fewer than two vectors."""
        return self.squares / (self.number - 1) if self.number > 1 else torch.full_like(self.squares, math.nan)


class BiasTest:
    """Is the mean of vectors zero? The first half gives a direction, the second half is tested along it.

    Along any direction chosen without them, the later vectors are draws of one number, and their mean over its standard
    error is a standard normal number if there is no bias: an honest test in any number of dimensions.
    """

    def __init__(self, samples: int) -> None:
        self.half = samples // 2
        self.stream = Stream()
        self.direction: Tensor | None = None
        self.along: list[float] = []

    def add(self, difference: Tensor) -> None:
        if self.stream.number == self.half:
            self.direction = self.stream.mean / self.stream.mean.norm().clamp_min(1e-30)
        self.stream.add(difference)
        if self.direction is not None:
            self.along.append(float(self.direction @ difference))

    def norm(self) -> float:
        """The norm of the mean, less what chance adds: E ||mean||^2 = ||bias||^2 + trace(covariance) / M."""
        chance = float(self.stream.variances().double().sum()) / self.stream.number
        return math.sqrt(max(0.0, float(self.stream.mean.double().square().sum()) - chance))

    def p_value(self) -> float:
        """One-sided, as a bias points where the first half points; 1 where the vectors are zero."""
        along = torch.tensor(self.along, dtype=torch.float64)
        if len(along) < 2 or not along.any():
            return 1.0
        z = float(along.mean() / (along.std() / math.sqrt(len(along))).clamp_min(1e-300))
        return 0.5 * math.erfc(z / math.sqrt(2))


class _Measurement:
    """What is kept of one estimator while its samples pass."""

    def __init__(self, samples: int, head: Tensor) -> None:
        self.gradients, self.difference = Stream(), BiasTest(samples)
        # What a score function gets wrong reaches the model through the logits of z_pres alone. In the few parameters
        # of that head it stands out; among all parameters it can drown.
        self.head, self.head_difference = head, BiasTest(samples)
        self.norms: list[float] = []
        self.seconds = 0.0

    def add(self, gradient: Tensor, exact: Tensor, seconds: float) -> None:
        self.gradients.add(gradient)
        self.difference.add(gradient - exact)
        self.head_difference.add((gradient - exact)[self.head])
        self.norms.append(float(gradient.norm()))
        self.seconds += seconds

    def report(self, exact_mean: Tensor) -> EstimatorReport:
        norms = torch.tensor(self.norms, dtype=torch.float64)
        variance = float(norms.var())
        fourth = float((norms - norms.mean()).pow(4).mean())
        variances, mean = self.gradients.variances(), self.gradients.mean
        bias, size = self.difference.norm(), float(exact_mean.norm())
        return EstimatorReport(
            norm_variance=variance,
            norm_variance_error=math.sqrt(max(0.0, fourth - variance**2) / len(norms)),
            norm_mean=float(norms.mean()),
            total_variance=float(variances.double().sum()),
            largest_variance=float(variances.max()),
            bias=bias,
            bias_p_value=min(1.0, 2 * min(self.difference.p_value(), self.head_difference.p_value())),  # Bonferroni
            relative_bias=bias / max(size, 1e-30),
            cosine=float(mean @ exact_mean) / max(float(mean.norm()) * size, 1e-30),
            seconds_per_sample=self.seconds / len(norms),
        )


def measure_variance(
    model: AIR,
    estimators: Mapping[str, Estimator],
    canvas: Tensor,
    log_p: Tensor,
    samples: int,
    make_generator: Callable[[int], torch.Generator],
    on_sample: Callable[[int], None] = lambda done: None,
) -> dict[str, EstimatorReport]:
    """Take ``samples`` gradients of each estimator on the batch ``canvas`` [B, D, D], pixels in [0, 1].

    ``make_generator(m)`` gives the randomness of sample m. Interrupted by Ctrl-C after two samples or more, it
    reports what it has.
    """
    parameters = list(model.parameters())
    exact, truth = Exact(), Stream()
    kept = {name: _Measurement(samples, _mask(model.present_head, parameters)) for name in estimators}
    for chosen in estimators.values():
        chosen.modules.eval()  # what remembers its past must not go on learning here
    try:
        for sample in range(samples):
            generator = make_generator(sample)
            started = time.perf_counter()
            rollout = model(canvas, model.noise(len(canvas), generator))
            terms = count_terms(rollout, log_p, model.config.model.likelihood_sd)
            shared = time.perf_counter() - started
            exact_gradient = _gradient(exact(rollout, terms, generator).loss, parameters)
            taken = {}
            for name, chosen in estimators.items():
                started = time.perf_counter()
                gradient = _gradient(chosen(rollout, terms, generator).loss, parameters)
                taken[name] = (gradient, shared + time.perf_counter() - started)
            truth.add(exact_gradient)
            for name, (gradient, seconds) in taken.items():
                kept[name].add(gradient, exact_gradient, seconds)
            on_sample(sample + 1)
    except KeyboardInterrupt:
        if truth.number < 2:
            raise
    return {name: measurement.report(truth.mean) for name, measurement in kept.items()}


def fit_baseline(
    model: AIR,
    chosen: Estimator,
    batches: Iterable[Tensor],
    log_p: Tensor,
    lr: float,
    make_generator: Callable[[int], torch.Generator],
) -> None:
    """Let the baseline of an estimator learn on the frozen ``model``, one step for each batch [B, D, D] in [0, 1]."""
    parameters = list(chosen.modules.parameters())
    optimizer = torch.optim.Adam(parameters, lr=lr, fused=True) if parameters else None
    chosen.modules.train()
    for step, canvas in enumerate(batches):
        generator = make_generator(step)
        with torch.no_grad():
            rollout = model(canvas, model.noise(len(canvas), generator))
            terms: CountTerms = count_terms(rollout, log_p, model.config.model.likelihood_sd)
        loss = chosen(rollout, terms, generator).baseline_loss
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


def _mask(module: torch.nn.Module, parameters: list[torch.nn.Parameter]) -> Tensor:
    """Which places of the flat gradient [P] belong to ``module``."""
    own = set(module.parameters())
    return torch.cat([torch.full((p.numel(),), p in own, device=p.device) for p in parameters])


def _gradient(loss: Tensor, parameters: list[torch.nn.Parameter]) -> Tensor:
    """The gradient as one vector [P], zero where ``loss`` does not reach."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for p, g in zip(parameters, gradients, strict=True)
        ]
    )
