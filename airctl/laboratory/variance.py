"""The variance and the bias of gradient estimators on one model and one batch: the report's Table 1, and the truth.

Each of M samples is one roll-out with fresh noise, the same for every estimator that can read it; one that needs
several roll-outs of a scene gets its own. Where an estimator's mean over the count can be enumerated, its bias is that
of the enumerated mean: on a trained model q(n) is so sure of most scenes that thousands of samples would not show what
happens in the others. Elsewhere its difference from the exact gradient is measured sample by sample, and for one that
takes K roll-outs between the mean of K samples and one exact gradient.
Gradients are streamed (Welford 1962) and never stored: what is kept is four vectors an estimator, whatever M. To keep
few of them, few estimators read one roll-out, over all M samples, and the next ones make the same roll-outs again.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import zip_longest

import torch
from torch import Tensor, nn

from airctl.group import ALONE, Group
from airctl.laboratory.streams import BiasTest, Slices, Stream
from airctl.model import AIR, Objects
from airctl.objectives import Estimator, Exact, Terms, observe, terms_of
from airctl.results.variance import EstimatorReport, GroupReport

REFERENCE = "backprop"  # the estimator whose cost is 1
INFERENCE = "inference"  # phi with the head of z_pres: the phi of Drelich 2019
AT_ONCE = 2  # threads, with a family of estimators each
FAMILY = 3  # estimators that read one roll-out: each keeps up to four vectors of the size of the model
NOTHING = 1e-9  # a difference of enumerated means below this part of the exact gradient is float64's rounding
ROUNDING = 1e-3  # a bias below this part of the exact gradient is float32's: signals of hundreds of nats cancel in it


class _Measurement:
    """What is kept of one estimator while its samples pass."""

    def __init__(self, samples: int, slices: Slices, copies: int) -> None:
        self.slices, self.copies = slices, copies
        self.gradients = Stream(slices, {INFERENCE: ("phi", "z_pres")})
        self.difference = BiasTest(samples // copies, slices)
        self.seconds = 0.0

    def add(self, gradient: Tensor, seconds: float) -> None:
        self.gradients.add(gradient)
        self.seconds += seconds

    @property
    def seconds_per_sample(self) -> float:
        return self.seconds / max(1, self.gradients.number)

    def group(self, name: str, truth: Tensor) -> GroupReport:
        where, number = self.slices.get(name, slice(None)), self.gradients.number
        norms, spread, test = self.gradients.norms[name], self.gradients.spread[name], self.difference
        mean, exact = self.gradients.mean[where].double(), truth[where].double()
        bias, size, length = test.norm(name), float(exact.norm()), float(mean.norm())
        interval = test.interval(name)
        return GroupReport(
            norm_mean=norms.mean,
            norm_variance=norms.variance(),
            norm_variance_error=norms.variance_error(),
            total_variance=spread.mean,
            total_variance_error=spread.mean_error() if spread.number > 1 else 0.0,
            largest_variance=float(self.gradients.variances()[where].max()),
            bias=bias,
            bias_interval=interval,
            bias_p_value=test.p_value(name, ROUNDING * size),
            relative_bias=bias / max(size, 1e-30),
            relative_bias_interval=interval and (interval[0] / max(size, 1e-30), interval[1] / max(size, 1e-30)),
            cosine=float(mean @ exact) / max(length * size, 1e-30),
            signal_to_noise=math.sqrt(max(0.0, length**2 - spread.mean / number) / max(spread.mean, 1e-30)),
            efficiency=None,
        )

    def report(self, truth: Tensor) -> EstimatorReport:
        """What was seen, beside the mean exact gradient ``truth`` [P]; costs need other rows, and come later."""
        groups = {name: self.group(name, truth) for name in self.slices}
        whole = asdict(self.group("all", truth))
        head = groups["z_pres"].bias_p_value
        if head is not None:
            whole["bias_p_value"] = min(1.0, 2 * min(head, whole["bias_p_value"]))  # Bonferroni
        inference = self.gradients.norms[INFERENCE]
        return EstimatorReport(
            **whole,
            inference_norm_variance=inference.variance(),
            inference_norm_variance_error=inference.variance_error(),
            seconds_per_sample=self.seconds_per_sample,
            relative_cost=None,
            copies=self.copies,
            samples=self.gradients.number,
            groups=groups,
        )


def enumerable(chosen: Estimator) -> bool:
    """Whether the estimator's mean over what it samples, given the roll-out, has a closed form."""
    return type(chosen).expected is not Estimator.expected


def measure_variance(
    model: AIR,
    estimators: Mapping[str, Estimator],
    canvas: Tensor,
    log_p: Tensor,
    samples: int,
    make_generator: Callable[[str, int], torch.Generator],
    on_sample: Callable[[int, int], None] = lambda done, of: None,
    should_stop: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
) -> dict[str, EstimatorReport]:
    """Take ``samples`` gradients of each estimator on the batch ``canvas`` [B, D, D], pixels in [0, 1].

    ``make_generator(purpose, m)`` gives the randomness of sample m for the roll-out and for each estimator by its name,
    so that a row of the table does not depend on which others are measured. Asked to stop it reports the estimators of
    which it has two samples or more; without two of the exact gradient it raises ``KeyboardInterrupt``.
    ``on_sample(done, of)`` counts roll-outs; it is called by one thread at a time, which need not be the caller's.
    The processes of a ``group`` share the estimators, a family of them at a time, so that the figures are those of one
    process; the progress is that of the caller's part.
    """
    for chosen in estimators.values():
        chosen.modules.eval()  # what remembers its past must not go on learning here
    asked = list(estimators)
    exact = next((name for name, chosen in estimators.items() if isinstance(chosen, Exact)), "exact")
    estimators = {exact: Exact(), **estimators}  # the truth is measured in any case
    families = _families(estimators, exact)
    families = families[group.rank :: group.size]
    work, done = samples * sum(estimators[names[0]].copies for names in families), 0
    one_by_one = threading.Lock()

    def rolled(copies: int) -> bool:
        """Count the roll-outs of one more sample; whether another is wanted."""
        nonlocal done
        with one_by_one:
            done += copies
            on_sample(done, work)
        return not should_stop()

    def measured(names: Sequence[str]) -> dict[str, _Measurement]:
        family = {name: estimators[name] for name in names}
        return _measured(model, family, canvas, log_p, samples, make_generator, rolled)

    own_truth: Future[Stream] = Future()  # what the leader finds in its first family
    truth: Future[tuple[int, Tensor]] = Future()  # how many exact gradients there were, and their mean

    def reported(names: Sequence[str]) -> dict[str, EstimatorReport]:
        try:
            kept = measured(names)
            if exact in names:
                own_truth.set_result(kept[exact].gradients)
        except BaseException as error:
            if exact in names:
                own_truth.set_exception(error)
            raise
        number, mean = truth.result()
        return {name: one.report(mean) for name, one in kept.items() if number > 1 and one.gradients.number > 1}

    with _one_thread_each(1 if canvas.is_cuda else AT_ONCE) as pool:
        futures = [pool.submit(reported, names) for names in families]
        try:
            truth.set_result(group.told(lambda: (own_truth.result().number, own_truth.result().mean)))
        except BaseException as error:
            truth.set_exception(error)  # for those who wait for it
            raise
        mine = {name: report for future in futures for name, report in future.result().items()}
    reports = {name: report for some in group.each(mine) for name, report in some.items()}
    if not reports:
        raise KeyboardInterrupt
    return _with_costs({name: reports[name] for name in asked if name in reports})


def _families(estimators: Mapping[str, Estimator], exact: str) -> list[list[str]]:
    """Names of estimators that read one roll-out together, in the order in which to start with them.

    Beside the exact estimator come those that are held against its gradient on the same roll-out. Two families with
    several roll-outs, whose graphs are large, are never started one after the other.
    """
    alike: dict[tuple[int, bool], list[str]] = {}
    for name in sorted(estimators, key=lambda name: (name != exact, enumerable(estimators[name]))):
        alike.setdefault((estimators[name].copies, estimators[name].reparameterised), []).append(name)
    parts = [names[i : i + FAMILY] for names in alike.values() for i in range(0, len(names), FAMILY)]
    large = [names for names in parts if estimators[names[0]].copies > 1]
    small = [names for names in parts if names not in large]
    return [names for pair in zip_longest(small, large) for names in pair if names]


@contextmanager
def _one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads in which torch has no others.

    A gradient of a model of this size keeps one core busy and not two: torch's own threads win little on two, and an
    estimator on each wins more (docs/experiments.md). And the figures are the same on any number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)


def _measured(
    model: AIR,
    family: Mapping[str, Estimator],
    canvas: Tensor,
    log_p: Tensor,
    samples: int,
    make_generator: Callable[[str, int], torch.Generator],
    rolled: Callable[[int], bool],
) -> dict[str, _Measurement]:
    """``samples`` gradients of each of ``family``, which can read the same roll-outs.

    Or as many as come before ``rolled``, told after each how many roll-outs it took, says no.
    """
    parameters, slices = _flat(model.parameter_groups())
    any_of_them = next(iter(family.values()))
    copies = any_of_them.copies
    kept = {name: _Measurement(samples, slices, copies) for name in family}
    several: dict[str, Tensor] = {}  # sums of an estimator's gradients, where each has several roll-outs

    def roll(chosen: Estimator, sample: int) -> tuple[Objects, Terms]:
        objects = observe(model, canvas, chosen, make_generator("roll-out", sample))
        return objects, terms_of(objects, log_p, model.likelihood)

    for sample in range(samples):
        started = time.perf_counter()
        objects, terms = roll(any_of_them, sample)
        rolling = time.perf_counter() - started
        exact = None
        for name, chosen in family.items():
            started = time.perf_counter()
            gradient = _gradient(chosen(objects, terms, make_generator(name, sample)).loss, parameters)
            kept[name].add(gradient, rolling + time.perf_counter() - started)
            if isinstance(chosen, Exact):
                exact = gradient
            if enumerable(chosen):
                kept[name].difference.add(_enumerated_bias(chosen, objects, terms, parameters))
            elif copies > 1:
                several[name] = gradient if sample % copies == 0 else several[name].add_(gradient)
            else:
                exact = _gradient(-terms.elbo.mean(), parameters) if exact is None else exact
                kept[name].difference.add(gradient.sub_(exact))
        if several and (sample + 1) % copies == 0:  # the mean of as many as one has roll-outs, against one of one
            del objects, terms  # before the next ones come
            exact = _gradient(-roll(Exact(), sample)[1].elbo.mean(), parameters)
            for name, total in several.items():
                kept[name].difference.add(total.div_(copies).sub_(exact))
        if not rolled(copies):
            break
    return kept


def _enumerated_bias(chosen: Estimator, objects: Objects, terms: Terms, wrt: list[nn.Parameter]) -> Tensor | None:
    """Gradient of the estimator's mean over the count less the exact one, given the roll-out; None where it is zero.

    Both are functions of three small tensors, so the difference is taken there, in float64: only what is left of it is
    sent back through the model. Signals of hundreds of nats that cancel leave nothing.
    """
    outputs = (terms.log_likelihood, terms.kl, objects.logits)
    log_likelihood, kl, logits = leaves = [tensor.detach().double().requires_grad_() for tensor in outputs]
    wide = Terms.of(terms.code, log_likelihood, kl, logits, terms.log_p, terms.likelihood)
    mean = chosen.expected(replace(objects, logits=logits), wide)
    assert mean is not None
    exact = torch.autograd.grad(-wide.elbo.mean(), leaves, retain_graph=True)
    found = torch.autograd.grad(mean.loss, leaves, allow_unused=True)
    left = [torch.zeros_like(e) - e if f is None else f - e for f, e in zip(found, exact, strict=True)]
    there = [i for i, d in enumerate(left) if d.abs().max() > NOTHING * exact[i].abs().max()]
    if not there:
        return None
    return _gradient([outputs[i] for i in there], wrt, [left[i].to(outputs[i].dtype) for i in there])


def _with_costs(reports: Mapping[str, EstimatorReport]) -> dict[str, EstimatorReport]:
    """The same with the costs in units of ``REFERENCE``'s, if that was measured."""
    if REFERENCE not in reports:
        return dict(reports)

    def priced(report: EstimatorReport) -> EstimatorReport:
        cost = report.seconds_per_sample / reports[REFERENCE].seconds_per_sample
        groups = {name: replace(group, efficiency=group.total_variance * cost) for name, group in report.groups.items()}
        return replace(report, relative_cost=cost, efficiency=report.total_variance * cost, groups=groups)

    return {name: priced(report) for name, report in reports.items()}


def _flat(groups: Mapping[str, list[nn.Parameter]]) -> tuple[list[nn.Parameter], dict[str, slice]]:
    """All parameters, group after group, and where each group lies in the flat gradient [P]."""
    slices: dict[str, slice] = {}
    end = 0
    for name, members in groups.items():
        start, end = end, end + sum(p.numel() for p in members)
        slices[name] = slice(start, end)
    return [p for members in groups.values() for p in members], slices


def _gradient(
    outputs: Tensor | list[Tensor], parameters: list[nn.Parameter], weights: list[Tensor] | None = None
) -> Tensor:
    """The gradient of a loss, or of ``outputs`` times ``weights``, as one vector [P], zero where it does not reach."""
    gradients = torch.autograd.grad(outputs, parameters, weights, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for p, g in zip(parameters, gradients, strict=True)
        ]
    )
