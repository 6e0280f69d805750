"""q(z | features): heads that turn features into a distribution from which one can sample by given noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
    register_kl,
)

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


class Full(Posterior):
    """Normal numbers that depend on each other; means and sds as ``Diagonal`` has them.

    z = loc + sd * (C noise), with C the Cholesky factor of their correlations: a lower triangle whose rows have the
    length 1. It starts near the identity, and the head has size (size - 1) / 2 more outputs.
    """

    def __init__(self, features: int, size: int, start: float, centre: Tensor | None = None, most: float = 0.0) -> None:
        super().__init__()
        self.diagonal = Diagonal(features, size, start, centre, most)
        self.below = nn.Linear(features, max(1, size * (size - 1) // 2))
        nn.init.zeros_(self.below.weight)
        nn.init.zeros_(self.below.bias)
        self.size = size

    def forward(self, features: Tensor) -> MultivariateNormal:
        loc, sd = loc_and_sd(self.diagonal(features))
        below = self.below(features)
        row, column = torch.tril_indices(self.size, self.size, -1, device=below.device)
        whole = torch.eye(self.size, dtype=below.dtype, device=below.device).expand(*loc.shape, -1).clone()
        whole[..., row, column] = below[..., : len(row)]
        correlated = whole / torch.linalg.vector_norm(whole, dim=-1, keepdim=True)
        return MultivariateNormal(loc, scale_tril=sd[..., None] * correlated, validate_args=False)

    def sample(self, q: Distribution, noise: Tensor) -> Tensor:
        assert isinstance(q, MultivariateNormal)
        z: Tensor = q.loc + (q.scale_tril @ noise[..., None])[..., 0]
        return z

    def stack(self, each: Sequence[Distribution]) -> MultivariateNormal:
        parts = [(q.loc, q.scale_tril) for q in each if isinstance(q, MultivariateNormal)]
        loc, scale_tril = (torch.stack(values, 1) for values in zip(*parts, strict=True))
        return MultivariateNormal(loc, scale_tril=scale_tril, validate_args=False)


def _kl_of_full(q: MultivariateNormal, p: Independent[Normal]) -> Tensor:
    """KL(q || p) to independent normal numbers: that of q without its correlations, and what the correlations tell."""
    sd = torch.linalg.vector_norm(q.scale_tril, dim=-1)
    told: Tensor = sd.log().sum(-1) - q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    alone: Tensor = kl_divergence(normal(q.loc, sd), p)
    return alone + told


register_kl(MultivariateNormal, Independent)(_kl_of_full)


def loc_and_sd(q: Distribution) -> tuple[Tensor, Tensor]:
    """The centre, to which zero noise leads, and the standard deviations of each number by itself, [..., E] both.

    Of ``normal`` the parameters, as ``Independent.stddev`` is the root of the square of the latter, which rounds.
    """
    if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
        return q.base_dist.loc, q.base_dist.scale
    return q.mean, q.stddev


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


def _flow(kind: str) -> Callable[..., Posterior]:
    def made(*arguments: Any, **named: Any) -> Posterior:
        from airctl.model.flows import Flow  # only then is zuko needed

        return Flow(kind, *arguments, **named)

    return made


POSTERIORS: dict[str, Callable[..., Posterior]] = {
    "diagonal": Diagonal,
    "full": Full,
    "maf": _flow("maf"),
    "nsf": _flow("nsf"),
}
