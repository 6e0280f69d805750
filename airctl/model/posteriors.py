"""q(z | features): heads that turn features into a distribution from which one can sample by given noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

PLAIN = math.log(2)  # the sd that softplus makes of a raw 0: with this start ``positive`` is softplus itself


class Posterior(nn.Module, ABC):
    """A head: features [..., F] -> a distribution with event [E]."""

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """q(z | features), batch [...], event [E]."""

    @abstractmethod
    def sample(self, q: Distribution, noise: Tensor) -> Tensor:
        """The reparameterised sample of ``q`` that standard normal ``noise`` [..., E] leads to; zeros: its centre."""

    @abstractmethod
    def stack(self, each: Sequence[Distribution]) -> Distribution:
        """The distribution of all steps, batch [B, M], of one for each step, batch [B]."""


class Diagonal(Posterior):
    """Independent normal numbers, their means around ``centre`` [E] and their sds at first ``start``.

    ``most`` bounds the sds; 0 is no bound.
    """

    def __init__(self, features: int, size: int, start: float, centre: Tensor | None = None, most: float = 0.0) -> None:
        super().__init__()
        self.head = nn.Linear(features, 2 * size)
        self.start, self.most = start, most
        self.register_buffer("centre", centre, persistent=False)
        self.centre: Tensor | None

    def forward(self, features: Tensor) -> Independent[Normal]:
        loc, raw = self.head(features).chunk(2, -1)
        if self.centre is not None:
            loc = self.centre + loc
        return normal(loc, positive(raw, self.start, self.most))

    def sample(self, q: Distribution, noise: Tensor) -> Tensor:
        loc, sd = loc_and_sd(q)
        return loc + sd * noise

    def stack(self, each: Sequence[Distribution]) -> Independent[Normal]:
        locs, sds = zip(*map(loc_and_sd, each), strict=True)
        return normal(torch.stack(locs, 1), torch.stack(sds, 1))


def loc_and_sd(q: Distribution) -> tuple[Tensor, Tensor]:
    """The parameters of ``normal``; ``Independent.stddev`` is the root of the square of the latter, which rounds."""
    assert isinstance(q, Independent)
    assert isinstance(q.base_dist, Normal)
    return q.base_dist.loc, q.base_dist.scale


def normal(loc: Tensor, sd: Tensor) -> Independent[Normal]:
    """Independent normal numbers: the last dimension is the event."""
    return Independent(Normal(loc, sd, validate_args=False), 1, validate_args=False)


def positive(raw: Tensor, start: float, most: float = 0.0) -> Tensor:
    """A standard deviation above 0, ``start`` where ``raw`` is 0; unless ``most`` is 0, bent to stay below it."""
    free = F.softplus(raw + math.log(math.expm1(start))) + 1e-4
    return most * torch.tanh(free / most) if most else free


def kl(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p), nats, in closed form where torch knows one; else the log ratio at the sample ``z`` of q."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        ratio: Tensor = q.log_prob(z) - p.log_prob(z)
        return ratio


POSTERIORS: dict[str, Callable[..., Posterior]] = {"diagonal": Diagonal}
