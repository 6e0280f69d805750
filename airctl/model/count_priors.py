"""p(n): Eslami et al. 2016, section 2; "Experiments with AIR" (2019), sections 3 and 4."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import NegativeBinomial, Poisson

from airctl.config import Config, CountConfig


class CountPrior(nn.Module, ABC):
    """p(n), which may change over training."""

    @abstractmethod
    def forward(self, most: int, step: int | None = None) -> Tensor:
        """log p(n) for n = 0..``most``, float64 [most + 1], at training step ``step``; None: at the end of training."""

    def settled(self, step: int) -> bool:
        """Whether it changes no more from ``step`` on."""
        return True


class Annealed(CountPrior):
    """A prior that the training comes to by and by, so that objects are drawn before they cost anything."""

    def __init__(self, settings: CountConfig, steps: int = 0) -> None:
        """``steps`` of training, of which the annealing takes ``settings.anneal_share`` at most if that is not 0."""
        super().__init__()
        self.settings = settings
        most = settings.anneal_share * steps if settings.anneal_share else math.inf
        self.anneal_steps = min(settings.anneal_steps, most)

    def settled(self, step: int) -> bool:
        return self.settings.anneal == "none" or step >= self.anneal_steps

    def done(self, step: int | None) -> float:
        """The share of the annealing that is over at training step ``step``, 0 to 1."""
        return 1.0 if step is None or self.settled(step) else step / self.anneal_steps


class Geometric(Annealed):
    """p(n) proportional to p ** n, truncated at ``most``; p, the probability of one more object, is annealed.

    0.01 costs 4.6 nats an object, 1 is uniform.
    """

    def forward(self, most: int, step: int | None = None) -> Tensor:
        return truncated_geometric(self.settings.probability if step is None else self.at(step), most)

    def at(self, step: int) -> float:
        """The probability of one more object at training step ``step``."""
        settings, done = self.settings, self.done(step)
        if self.settled(step):
            return settings.probability
        if settings.anneal == "linear":
            return settings.start + done * (settings.probability - settings.start)
        return math.exp((1 - done) * math.log(settings.start) + done * math.log(settings.probability))


class FromUniform(Annealed):
    """A prior whose annealing begins at the uniform one; ``count.start`` is the geometric prior's and plays no part.

    With d from 0 to 1 over the annealing: linear, p_d(n) = (1 - d) / (most + 1) + d p(n); exponential, p_d(n)
    proportional to p(n) ** d, as the geometric prior's goes if it starts at 1.
    """

    @abstractmethod
    def log_mass(self, most: int) -> Tensor:
        """log p(n) for n = 0..``most`` but for a constant, float64 [most + 1], at the end of the annealing."""

    def forward(self, most: int, step: int | None = None) -> Tensor:
        log_p, done = torch.log_softmax(self.log_mass(most), 0), self.done(step)
        if done == 1:
            return log_p
        if self.settings.anneal == "linear":
            return torch.log((1 - done) / (most + 1) + done * log_p.exp())
        return torch.log_softmax(done * log_p, 0)


class TruncatedPoisson(FromUniform):
    """Poisson with the mean ``count.mean``, truncated at ``most``: objects that come independently of each other."""

    def log_mass(self, most: int) -> Tensor:
        rate = torch.tensor(self.settings.mean, dtype=torch.float64)
        log_mass: Tensor = Poisson(rate).log_prob(_counts(most))
        return log_mass


class TruncatedNegativeBinomial(FromUniform):
    """Negative binomial with the mean m = ``count.mean`` and the variance m + m^2 / r, r = ``count.dispersion``.

    Truncated at ``most``. For counts that spread more than a Poisson's; r = 1 is geometric, a large r Poisson.
    """

    def log_mass(self, most: int) -> Tensor:
        mean, r = self.settings.mean, self.settings.dispersion
        odds = torch.tensor(math.log(mean / r), dtype=torch.float64)
        log_mass: Tensor = NegativeBinomial(torch.tensor(r, dtype=torch.float64), logits=odds).log_prob(_counts(most))
        return log_mass


class Uniform(CountPrior):
    """p(n) = 1 / (most + 1): nothing is known about the count, and an object costs its KL alone."""

    def forward(self, most: int, step: int | None = None) -> Tensor:
        return torch.full((most + 1,), -math.log(most + 1), dtype=torch.float64)


class Empirical(FromUniform):
    """p(n) learnt from the scenes, a logit for each n = 0..M, M the objects proposed in training.

    The gradient of the ELBO (or of the collapsed bound) in logit n is the mean of q(n | x) over the batch less p(n), so
    what it climbs to is the M-step in closed form, p(n) = the mean posterior of n. It is by gradient, not by that form,
    since a prior sees no posterior. It starts uniform, and a p(n) that no scene supports falls ever lower: annealing
    (``count.anneal_steps``) lets objects be drawn first. Counts above M, which only a model that is asked for more than
    in training has, go on from M with ``count.probability`` for one more object.
    """

    def __init__(self, settings: CountConfig, steps: int, most: int) -> None:
        super().__init__(settings, steps)
        self.logits = nn.Parameter(torch.zeros(most + 1))

    def log_mass(self, most: int) -> Tensor:
        known = self.logits.double()
        beyond = torch.arange(1, max(1, most + 2 - len(known)), dtype=known.dtype, device=known.device)
        return torch.cat([known[: most + 1], known[-1] + beyond * math.log(self.settings.probability)])


def _counts(most: int) -> Tensor:
    return torch.arange(most + 1, dtype=torch.float64)


def truncated_geometric(probability: float, most: int) -> Tensor:
    """log p(n) for n = 0..``most``, p(n) proportional to probability ** n -> float64 [most + 1]."""
    return torch.log_softmax(torch.arange(most + 1, dtype=torch.float64) * math.log(probability), 0)


COUNT_PRIORS: dict[str, Callable[[Config], CountPrior]] = {
    "geometric": lambda config: Geometric(config.count, config.train.steps),
    "poisson": lambda config: TruncatedPoisson(config.count, config.train.steps),
    "negative-binomial": lambda config: TruncatedNegativeBinomial(config.count, config.train.steps),
    "uniform": lambda config: Uniform(),
    "empirical": lambda config: Empirical(config.count, config.train.steps, config.model.num_steps),
}
