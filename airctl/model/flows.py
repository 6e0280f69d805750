"""q(z | features) by normalising flows, which zuko has: Rezende & Mohamed 2015; the report's future work.

    u = T((z - loc) / sd),   log q(z) = log N(u; 0, 1) + log |dT| - sum log sd

loc, sd and T depend on the features. T starts as the identity, so that a flow starts as the diagonal posterior.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from airctl.errors import ConfigError
from airctl.model.posteriors import Posterior, normal, positive

PASSES = 4  # to draw a sample: up to four numbers are fully autoregressive, more are so in four groups
HIDDEN = (64, 64)
TRANSFORMS = 2  # one after the other, with the numbers in the opposite order


def require_zuko() -> Any:
    """The package zuko; ``ConfigError`` says how to get it."""
    try:
        import zuko
    except ImportError as error:
        raise ConfigError(
            "posterior.where and posterior.what = maf or nsf need the package zuko: pip install 'airctl[flows]'"
        ) from error
    return zuko


class Flowed(Distribution):
    """Where ``flow``, a zuko flow, takes standard normal numbers under ``context`` [..., F], shifted and scaled.

    ``loc`` and ``sd`` [..., E] are those of shift and scale.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, flow: Any, context: Tensor, loc: Tensor, sd: Tensor) -> None:
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)
        self.flow, self.context, self.loc, self.sd = flow, context, loc, sd

    @property
    def mean(self) -> Tensor:
        """The centre, where the flow takes 0: its mean is known to nobody."""
        return self.of_noise(torch.zeros_like(self.loc))

    @property
    def stddev(self) -> Tensor:
        """That before the flow."""
        return self.sd

    def of_noise(self, noise: Tensor) -> Tensor:
        """The sample that standard normal ``noise`` [..., E] leads to."""
        sample: Tensor = self.flow(self.context).transform.inv(noise)
        return self.loc + self.sd * sample

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.of_noise(torch.randn(*sample_shape, *self.loc.shape).to(self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        noise, log_slope = self.flow(self.context).transform.call_and_ladj((value - self.loc) / self.sd)
        standard: Tensor = normal(torch.zeros_like(noise), torch.ones_like(noise)).log_prob(noise)
        log_prob: Tensor = standard + log_slope - self.sd.log().sum(-1)
        return log_prob


class Flow(Posterior):
    """``Diagonal`` bent by an autoregressive flow that reads the same features. No KL is closed: see ``kl``.

    ``most`` bounds the sds before the flow; the flow can widen them.
    """

    def __init__(
        self, kind: str, features: int, size: int, start: float, centre: Tensor | None = None, most: float = 0.0
    ) -> None:
        super().__init__()
        flows = require_zuko().flows
        family = {"maf": flows.MAF, "nsf": flows.NSF}[kind]
        self.head = nn.Linear(features, 2 * size)
        self.flow = family(size, features, transforms=TRANSFORMS, passes=PASSES, hidden_features=HIDDEN)
        for transform in self.flow.transform.transforms:
            nn.init.zeros_(transform.hyper[-1].weight)
            nn.init.zeros_(transform.hyper[-1].bias)
        self.start, self.most = start, most
        self.register_buffer("centre", centre, persistent=False)
        self.centre: Tensor | None

    def forward(self, features: Tensor) -> Flowed:
        loc, raw = self.head(features).chunk(2, -1)
        if self.centre is not None:
            loc = self.centre + loc
        return Flowed(self.flow, features, loc, positive(raw, self.start, self.most))

    def sample(self, q: Distribution, noise: Tensor) -> Tensor:
        assert isinstance(q, Flowed)
        return q.of_noise(noise)

    def stack(self, each: Sequence[Distribution]) -> Flowed:
        parts = [(q.context, q.loc, q.sd) for q in each if isinstance(q, Flowed)]
        context, loc, sd = (torch.stack(values, 1) for values in zip(*parts, strict=True))
        return Flowed(self.flow, context, loc, sd)
