"""The variance and the bias of gradient estimators on one model and one batch: the report's Table 1, and the truth.

Each of M samples is one roll-out with fresh noise. Every estimator that can read that same roll-out does, so that its
difference from the exact gradient is measured pairwise; one that needs several roll-outs of a scene gets its own.
Where an estimator's mean over the count can be enumerated, its bias is that of the enumerated mean: on a trained model
q(n) is so sure of most scenes that thousands of samples would not show what happens in the others.
Gradients are streamed (Welford 1962) and never stored: what is kept is four vectors an estimator, whatever M.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor, nn

from airctl.model import AIR, Rollout
from airctl.objectives import CountTerms, Estimator, Exact, count_terms, roll_out

REFERENCE = "backprop"  # the estimator whose cost is 1
ROUNDING = 1e-3  # a bias below this part of the exact gradient is float32's: signals of hundreds of nats cancel in it


@dataclass(frozen=True)
class GroupReport:
    """What M gradients of one estimator say in one group of parameters, the loss being -ELBO in nats a scene."""

    norm_mean: float
    norm_variance: float  # variance of the gradient's norm, the report's figure
    norm_variance_error: float  # its standard error
    total_variance: float  # trace of the gradient's covariance
    total_variance_error: float
    largest_variance: float  # of any one coordinate
    bias: float  # norm of E[gradient] - E[exact gradient], with what sampling adds to it taken off
    bias_interval: tuple[float, float] | None  # 95 %, of the bias along the direction that the first half points in
    bias_p_value: float | None  # of no bias; None before there is anything to test it with
    relative_bias: float  # bias / norm of the mean exact gradient
    cosine: float  # of the mean gradient with the mean exact gradient
    signal_to_noise: float  # norm of the mean gradient / square root of the total variance
    efficiency: float | None  # total variance x relative cost: what a mean of given precision costs; small is good


@dataclass(frozen=True)
class EstimatorReport(GroupReport):
    """The same over all parameters, where ``bias_p_value`` also looks at the z_pres head alone; and by group."""

    seconds_per_sample: float  # a roll-out (or the several it needs) and this estimator's gradient
    relative_cost: float | None  # in units of backprop's, if that was measured
    copies: int  # roll-outs of each scene
    samples: int  # M
    groups: dict[str, GroupReport]


class Moments:
    """Mean and variance of numbers seen one at a time, with the standard error of each (Pebay 2008, one by one)."""

    def __init__(self) -> None:
        self.number, self.mean = 0, 0.0
        self.second = self.third = self.fourth = 0.0  # sums of powers of the distance from the mean

    def add(self, value: float) -> None:
        before, self.number = self.number, self.number + 1
        n = self.number
        off = value - self.mean
        part = off / n
        grown = off * part * before
        self.mean += part
        self.fourth += grown * part**2 * (n * n - 3 * n + 3) + 6 * part**2 * self.second - 4 * part * self.third
        self.third += grown * part * (n - 2) - 3 * part * self.second
        self.second += grown

    def variance(self) -> float:
        """nan for fewer than two numbers."""
        return self.second / (self.number - 1) if self.number > 1 else math.nan

    def mean_error(self) -> float:
        return math.sqrt(self.variance() / self.number) if self.number > 1 else math.nan

    def variance_error(self) -> float:
        return math.sqrt(max(0.0, self.fourth / self.number - self.variance() ** 2) / self.number)


Slices = Mapping[str, slice]
WHOLE: Slices = {"whole": slice(None)}


def inner(a: Tensor, b: Tensor, slices: Slices) -> dict[str, float]:
    """a . b in each of ``slices``, which part the vectors, and over "all" of them."""
    found = {name: float(a[where] @ b[where]) for name, where in slices.items()}
    return found | {"all": sum(found.values())}


class Stream:
    """Mean and variance of vectors seen one at a time (Welford 1962), in float32 like the vectors.

    ``spread`` has for each of ``slices`` and for "all" the terms whose mean is the trace of the covariance there: one a
    vector after the first, so that the trace gets a standard error.
    """

    def __init__(self, slices: Slices = WHOLE) -> None:
        self.number = 0
        self.mean = self.squares = torch.zeros(())
        self.slices = slices
        self.spread = {name: Moments() for name in (*slices, "all")}

    def add(self, vector: Tensor) -> None:
        self.number += 1
        if self.number == 1:
            self.mean, self.squares = vector.clone(), torch.zeros_like(vector)
            return
        off = vector - self.mean
        self.mean.add_(off, alpha=1 / self.number)
        after = vector - self.mean
        self.squares.addcmul_(off, after)
        for name, trace in inner(off, after, self.slices).items():
            self.spread[name].add(trace)

    def variances(self) -> Tensor:
        """The variance of each coordinate, [P]; nan for fewer than two vectors."""
        return self.squares / (self.number - 1) if self.number > 1 else torch.full_like(self.squares, math.nan)


class BiasTest:
    """Is the mean of vectors zero, in each of ``slices`` and in all? One half says where to look, the other is tested.

    Along any direction chosen without them, the later vectors are draws of one number, and their mean over its standard
    error follows Student's t if there is no bias: an honest test in any number of dimensions.
    """

    def __init__(self, samples: int, slices: Slices = WHOLE) -> None:
        self.half, self.number, self.slices = samples // 2, 0, slices
        self.mean = self.direction = torch.zeros(())  # of all, and of the first half
        self.lengths: dict[str, float] = {}  # of the direction
        self.squares = dict.fromkeys((*slices, "all"), 0.0)  # sums of the vectors' squared norms
        self.along = {name: Moments() for name in self.squares}

    def add(self, difference: Tensor) -> None:
        self.number += 1
        for name, square in inner(difference, difference, self.slices).items():
            self.squares[name] += square
        if self.number == 1:
            self.mean = torch.zeros_like(difference)
        self.mean.lerp_(difference, 1 / self.number)
        if self.number == self.half:
            self.direction = self.mean.clone()
        if self.number <= self.half:
            return
        if not self.lengths:
            squares = inner(self.direction, self.direction, self.slices)
            self.lengths = {name: max(math.sqrt(square), 1e-30) for name, square in squares.items()}
        for name, product in inner(self.direction, difference, self.slices).items():
            self.along[name].add(product / self.lengths[name])

    def norm(self, name: str = "all") -> float:
        """The norm of the mean of all, less what chance adds: E ||mean||^2 = ||bias||^2 + trace(covariance) / M."""
        square = float(self.mean[self.slices.get(name, slice(None))].double().square().sum())
        trace = max(0.0, self.squares[name] - self.number * square) / max(1, self.number - 1)
        return math.sqrt(max(0.0, square - trace / self.number))

    def interval(self, name: str = "all") -> tuple[float, float] | None:
        """95 % confidence for the bias along the direction; it is at most the bias itself."""
        along = self.along[name]
        if along.number < 2:
            return None
        reach = 1.96 * along.mean_error()
        return along.mean - reach, along.mean + reach

    def p_value(self, name: str = "all", rounding: float = 0.0) -> float | None:
        """Of no bias larger than ``rounding``; one-sided, as a bias points where the first half points."""
        along = self.along[name]
        if along.number < 2:
            return None
        beyond = along.mean - rounding
        if beyond <= 0 and not along.second:
            return 1.0
        t, free = beyond / max(along.mean_error(), 1e-300), along.number - 1
        # Student's t as a normal number (Abramowitz & Stegun 26.7.8): with few samples the tails are heavier.
        z = t * (1 - 1 / (4 * free)) / math.sqrt(1 + t * t / (2 * free))
        return 0.5 * math.erfc(z / math.sqrt(2))


def parameter_groups(model: AIR) -> dict[str, list[nn.Parameter]]:
    """The generative theta, the inference network's phi without its z_pres head, and that head.

    What a score function gets wrong reaches the model through the logits of z_pres alone. In the few parameters of that
    head it stands out; among all parameters it can drown.
    """
    theta, head = list(model.decoder.parameters()), list(model.present_head.parameters())
    apart = {*theta, *head}
    return {"theta": theta, "phi": [p for p in model.parameters() if p not in apart], "z_pres": head}


class _Measurement:
    """What is kept of one estimator while its samples pass."""

    def __init__(self, samples: int, slices: Slices, copies: int) -> None:
        self.slices, self.copies = slices, copies
        self.gradients = Stream(slices)
        self.norms = {name: Moments() for name in (*slices, "all")}
        self.difference = BiasTest(samples, slices)
        self.seconds = 0.0

    def add(self, gradient: Tensor, expected: Tensor, exact: Tensor, seconds: float) -> None:
        self.gradients.add(gradient)
        self.difference.add(expected - exact)
        for name, square in inner(gradient, gradient, self.slices).items():
            self.norms[name].add(math.sqrt(square))
        self.seconds += seconds

    @property
    def seconds_per_sample(self) -> float:
        return self.seconds / max(1, self.gradients.number)

    def group(self, name: str, truth: Tensor, relative_cost: float | None) -> GroupReport:
        where, number = self.slices.get(name, slice(None)), self.gradients.number
        norms, spread, test = self.norms[name], self.gradients.spread[name], self.difference
        mean, exact = self.gradients.mean[where].double(), truth[where].double()
        bias, size, length = test.norm(name), float(exact.norm()), float(mean.norm())
        return GroupReport(
            norm_mean=norms.mean,
            norm_variance=norms.variance(),
            norm_variance_error=norms.variance_error(),
            total_variance=spread.mean,
            total_variance_error=spread.mean_error() if spread.number > 1 else 0.0,
            largest_variance=float(self.gradients.variances()[where].max()),
            bias=bias,
            bias_interval=test.interval(name),
            bias_p_value=test.p_value(name, ROUNDING * size),
            relative_bias=bias / max(size, 1e-30),
            cosine=float(mean @ exact) / max(length * size, 1e-30),
            signal_to_noise=math.sqrt(max(0.0, length**2 - spread.mean / number) / max(spread.mean, 1e-30)),
            efficiency=None if relative_cost is None else spread.mean * relative_cost,
        )

    def report(self, truth: Tensor, relative_cost: float | None) -> EstimatorReport:
        groups = {name: self.group(name, truth, relative_cost) for name in self.slices}
        whole = asdict(self.group("all", truth, relative_cost))
        head = groups["z_pres"].bias_p_value
        if head is not None:
            whole["bias_p_value"] = min(1.0, 2 * min(head, whole["bias_p_value"]))  # Bonferroni
        return EstimatorReport(
            **whole,
            seconds_per_sample=self.seconds_per_sample,
            relative_cost=relative_cost,
            copies=self.copies,
            samples=self.gradients.number,
            groups=groups,
        )


class _RollOuts:
    """The roll-outs of one sample, each made once and shared by all estimators that can read it."""

    def __init__(self, model: AIR, canvas: Tensor, log_p: Tensor, make: Callable[[], torch.Generator]) -> None:
        self.model, self.canvas, self.log_p, self.make = model, canvas, log_p, make
        self.made: dict[tuple[int, bool], tuple[Rollout, CountTerms, float]] = {}

    def of(self, chosen: Estimator) -> tuple[Rollout, CountTerms, float]:
        """The roll-out that ``chosen`` needs, its terms, and the seconds that it took."""
        kind = (chosen.copies, chosen.reparameterised)
        if kind not in self.made:
            started = time.perf_counter()
            rollout = roll_out(self.model, self.canvas, chosen, self.make())
            terms = count_terms(rollout, self.log_p, self.model.config.model.likelihood_sd)
            self.made[kind] = rollout, terms, time.perf_counter() - started
        return self.made[kind]


def measure_variance(
    model: AIR,
    estimators: Mapping[str, Estimator],
    canvas: Tensor,
    log_p: Tensor,
    samples: int,
    make_generator: Callable[[str, int], torch.Generator],
    on_sample: Callable[[int], None] = lambda done: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, EstimatorReport]:
    """Take ``samples`` gradients of each estimator on the batch ``canvas`` [B, D, D], pixels in [0, 1].

    ``make_generator(purpose, m)`` gives the randomness of sample m for the roll-out and for each estimator by its name,
    so that a row of the table does not depend on which others are measured. Asked to stop after two samples or more it
    reports what it has; before, it raises ``KeyboardInterrupt``.
    """
    parameters, slices = _flat(parameter_groups(model))
    exact, truth = Exact(), Stream()
    kept = {name: _Measurement(samples, slices, chosen.copies) for name, chosen in estimators.items()}
    for chosen in estimators.values():
        chosen.modules.eval()  # what remembers its past must not go on learning here

    def take(name: str, chosen: Estimator, rolled: _RollOuts, sample: int) -> tuple[Tensor, Tensor, float]:
        """A gradient, its mean given the roll-out as far as that is known, and the seconds of the former."""
        rollout, terms, shared = rolled.of(chosen)
        generator = make_generator(name, sample)
        started = time.perf_counter()
        gradient = _gradient(chosen(rollout, terms, generator).loss, parameters)
        seconds = shared + time.perf_counter() - started
        mean = chosen.expected(rollout, terms)
        return gradient, gradient if mean is None else _gradient(mean.loss, parameters), seconds

    for sample in range(samples):
        if should_stop():
            break
        rolled = _RollOuts(model, canvas, log_p, partial(make_generator, "roll-out", sample))
        true = take("exact", exact, rolled, sample)
        truth.add(true[0])
        for name, chosen in estimators.items():
            gradient, mean, seconds = true if isinstance(chosen, Exact) else take(name, chosen, rolled, sample)
            kept[name].add(gradient, mean, true[0], seconds)
        on_sample(sample + 1)
    if truth.number < 2:
        raise KeyboardInterrupt
    unit = kept[REFERENCE].seconds_per_sample if REFERENCE in kept else None
    return {
        name: measurement.report(truth.mean, measurement.seconds_per_sample / unit if unit else None)
        for name, measurement in kept.items()
    }


def fit_baseline(
    model: AIR,
    chosen: Estimator,
    batches: Iterable[Tensor],
    log_p: Tensor,
    steps: int,
    make_generator: Callable[[int], torch.Generator],
) -> None:
    """Let the baseline of an estimator learn on the frozen ``model``, one step for each batch [B, D, D] in [0, 1].

    The learning rate falls from 0.1 to 0 as half a cosine over ``steps``: a baseline starts at 0 and its target lies
    hundreds of nats away, which 1e-3 does not reach in a thousand steps (docs/experiments.md).
    """
    parameters = list(chosen.modules.parameters())
    optimizer = torch.optim.Adam(parameters, fused=True) if parameters else None
    chosen.modules.train()
    for step, canvas in enumerate(batches):
        generator = make_generator(step)
        with torch.no_grad():
            rollout = roll_out(model, canvas, chosen, generator)
            terms = count_terms(rollout, log_p, model.config.model.likelihood_sd)
        loss = chosen(rollout, terms, generator).baseline_loss
        if optimizer is not None:
            optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * step / max(1, steps)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


def _flat(groups: Mapping[str, list[nn.Parameter]]) -> tuple[list[nn.Parameter], dict[str, slice]]:
    """All parameters, group after group, and where each group lies in the flat gradient [P]."""
    slices: dict[str, slice] = {}
    end = 0
    for name, members in groups.items():
        start, end = end, end + sum(p.numel() for p in members)
        slices[name] = slice(start, end)
    return [p for members in groups.values() for p in members], slices


def _gradient(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """The gradient as one vector [P], zero where ``loss`` does not reach."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for p, g in zip(parameters, gradients, strict=True)
        ]
    )
