"""The laws that every estimator of the count's gradient must obey, as functions that can also be shown to fail.

With N = 3 a scene has four counts, so the mean and the variance of a sampled gradient are finite sums over q(n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from airctl.config import Config
from airctl.model import AIR, Noise, Objects, truncated_geometric
from airctl.objectives import (
    Baseline,
    Exact,
    MovingAverage,
    NeuralBaseline,
    ScoreFunction,
    Surrogate,
    Terms,
    terms_of,
)


@dataclass(frozen=True)
class Problem:
    """A model, one batch of scenes and the noise of one roll-out, in float64."""

    model: AIR
    canvas: Tensor  # [B, D, D]
    noise: Noise
    log_p: Tensor  # [N + 1]

    @classmethod
    def of(cls, config: Config, batch: int = 1, seed: int = 0) -> Problem:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = AIR(config).double()
        generator = torch.Generator().manual_seed(seed + 1)
        side = config.model.canvas
        canvas = torch.rand(batch, side, side, generator=generator, dtype=torch.float64)
        noise = model.noise(batch, generator)
        noise = Noise(noise.where.double(), noise.what.double())
        return cls(model, canvas, noise, truncated_geometric(config.count.probability, config.model.num_steps))

    @property
    def parameters(self) -> list[Tensor]:
        return list(self.model.parameters())

    def observe(self, repeat: int = 1, held: bool = False) -> tuple[Objects, Terms]:
        """One pass over the batch, each scene ``repeat`` times with the same noise."""
        noise = Noise(self.noise.where.repeat_interleave(repeat, 0), self.noise.what.repeat_interleave(repeat, 0))
        objects = self.model(self.canvas.repeat_interleave(repeat, 0), noise, held)
        return objects, terms_of(objects, self.log_p, self.model.likelihood)


def gradient(scalar: Tensor, of: Sequence[Tensor]) -> Tensor:
    """d scalar / d ``of``, flat [P]; zeros where they are not connected."""
    if not scalar.requires_grad:
        return torch.cat([torch.zeros_like(p).flatten() for p in of])
    parts = torch.autograd.grad(scalar, of, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def exact_gradient(problem: Problem) -> Tensor:
    """The gradient of minus the mean ELBO, [P]."""
    objects, terms = problem.observe()
    return gradient(Exact()(objects, terms, torch.Generator()).loss, problem.parameters)


def enumerated(problem: Problem, estimator: ScoreFunction, of_logits: bool = False) -> tuple[Tensor, Tensor]:
    """The estimator's gradient for each outcome of the counts of the batch [(N+1)^B, P], and their probabilities.

    ``of_logits``: the gradient in q(z_pres)'s logits alone, where there is no path-wise part.
    """
    objects, terms = problem.observe()
    q = terms.log_q.detach().exp()
    of = [objects.logits] if of_logits else problem.parameters
    outcomes = list(product(range(q.shape[1]), repeat=len(q)))
    gradients = [gradient(estimator.given(objects, terms, torch.tensor(ns)).loss, of) for ns in outcomes]
    weights = [torch.stack([q[b, n] for b, n in enumerate(ns)]).prod() for ns in outcomes]
    return torch.stack(gradients), torch.stack(weights)


def mean(gradients: Tensor, weights: Tensor) -> Tensor:
    return weights @ gradients


def total_variance(gradients: Tensor, weights: Tensor) -> float:
    """The trace of the covariance of the gradient."""
    return float(weights @ (gradients - mean(gradients, weights)).square().sum(1))


def relative_bias(problem: Problem, estimator: ScoreFunction) -> float:
    """|mean gradient - exact gradient| / |exact gradient|, with no sampling."""
    exact = exact_gradient(problem)
    return float((mean(*enumerated(problem, estimator)) - exact).norm() / exact.norm())


def surrogate_of(problem: Problem, estimator: ScoreFunction) -> Surrogate:
    objects, terms = problem.observe()
    return estimator.given(objects, terms, torch.full((len(problem.canvas),), 2))


def leaks(problem: Problem, estimator: ScoreFunction) -> bool:
    """Whether fitting the baseline would move the model."""
    return bool(gradient(surrogate_of(problem, estimator).baseline_loss, problem.parameters).any())


def is_moved_by_the_model(problem: Problem, estimator: ScoreFunction) -> bool:
    """Whether training the model would move the baseline."""
    return bool(gradient(surrogate_of(problem, estimator).loss, list(estimator.modules.parameters())).any())


def learns(problem: Problem, estimator: ScoreFunction) -> bool:
    """Whether each of the baseline's parameters is taught by the baseline's loss."""
    loss = surrogate_of(problem, estimator).baseline_loss
    return all(bool(gradient(loss, [p]).any()) for p in estimator.modules.parameters())


def neural(config: Config, mask: str, kind: type[NeuralBaseline] = NeuralBaseline) -> NeuralBaseline:
    """A neural baseline with predictions of the learning signal's size, different for each step, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        baseline = kind(config.model.canvas, config.model.what, config.objective.baseline_hidden, mask).double()
    with torch.no_grad():
        baseline.head.weight.mul_(200)
        baseline.head.bias.fill_(-80.0)
    return baseline


def average(num_steps: int) -> MovingAverage:
    """A moving average that has seen something and learns nothing more."""
    baseline = MovingAverage(num_steps).double().eval()
    baseline.mean.copy_(torch.linspace(-150, -50, num_steps))
    baseline.seen.fill_(0.8)
    return baseline


class Given(Baseline):
    """Subtracts the numbers it was made with, [N]."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values

    def read(self, objects: Objects) -> Tensor:
        return self.values.expand_as(objects.logits)


def logit_gradients(problem: Problem, surrogate: Callable[[Objects, Terms], Surrogate], rows: int) -> Tensor:
    """The gradient of minus the ELBO in the logits for each of ``rows`` outcomes of one scene, [rows, N].

    ``surrogate`` gets the scene's roll-out ``rows`` times, so that each row can have an outcome of its own.
    """
    objects, terms = problem.observe(rows)
    return gradient(surrogate(objects, terms).loss, [objects.logits]).unflatten(0, objects.logits.shape) * rows


def exact_logit_gradient(problem: Problem) -> Tensor:
    """The same of Exact, [N]."""
    return logit_gradients(problem, lambda objects, terms: Exact()(objects, terms, torch.Generator()), 1)[0]


def all_counts(samples: int, num_steps: int = 3) -> Tensor:
    """Each outcome of ``samples`` counts, [(N+1)^K, K]."""
    return torch.tensor(list(product(range(num_steps + 1), repeat=samples)))


def probabilities(problem: Problem, counts: Tensor) -> Tensor:
    """q of each row of independent ``counts`` [R, K] of the first scene, [R]."""
    return problem.observe()[1].log_q.detach().exp()[0][counts].prod(1)


def copied(problem: Problem, copies: int) -> Problem:
    """Each scene ``copies`` times, with noise of its own."""
    canvas = problem.canvas.repeat_interleave(copies, 0)
    noise = problem.model.noise(len(canvas), torch.Generator().manual_seed(8))
    return replace(problem, canvas=canvas, noise=Noise(noise.where.double(), noise.what.double()))


def with_constant_signal(terms: Terms, value: float = -300.0) -> Terms:
    """The same q(n), but every count is worth ``value`` nats, and nothing is left to learn about the objects."""
    likelihood = (value + terms.kl + terms.log_q - terms.log_p).detach()
    return replace(terms, log_likelihood=likelihood, kl=terms.kl.detach())


def within(values: Tensor, expected: Tensor, errors: float = 5.0) -> bool:
    """Whether the mean of ``values`` [M, ...] is within so many standard errors of ``expected``, each coordinate."""
    error = values.std(0) / math.sqrt(len(values))
    return bool(((values.mean(0) - expected).abs() <= errors * error + 1e-12).all())
