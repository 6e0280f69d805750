"""p(n), p(z_where) and p(z_what): Eslami et al. 2016, section 2; the report, sections 3 and 4."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from airctl.config import PriorConfig


def truncated_geometric(continuing: float, num_steps: int) -> Tensor:
    """log p(n) for n = 0..N, p(n) proportional to continuing ** n -> [N + 1], float64.

    ``continuing`` in (0, 1] is the probability of one more object: 0.01 costs 4.6 nats an object, 1 is uniform.
    """
    return torch.log_softmax(torch.arange(num_steps + 1, dtype=torch.float64) * math.log(continuing), 0)


def continuing_at(step: int, prior: PriorConfig) -> float:
    """The count prior's probability of one more object at training step ``step``, annealed as the config says."""
    if prior.count_anneal == "none" or step >= prior.count_anneal_steps:
        return prior.count
    done = step / prior.count_anneal_steps
    if prior.count_anneal == "linear":
        return prior.count_start + done * (prior.count - prior.count_start)
    return math.exp((1 - done) * math.log(prior.count_start) + done * math.log(prior.count))


class LatentPrior(nn.Module):
    """p(z_where) = N(where_loc, where_scale) and p(z_what) = N(0, 1), independent for each step."""

    def __init__(self, prior: PriorConfig) -> None:
        super().__init__()
        self.register_buffer("where_loc", torch.tensor(prior.where_loc), persistent=False)
        self.register_buffer("where_scale", torch.tensor(prior.where_scale), persistent=False)
        self.where_loc: Tensor
        self.where_scale: Tensor

    @property
    def where(self) -> Normal:
        """p(z_where), batch shape [3]."""
        return Normal(self.where_loc, self.where_scale, validate_args=False)

    def what(self, like: Tensor) -> Normal:
        """p(z_what), of the shape of ``like``."""
        return Normal(torch.zeros_like(like), torch.ones_like(like), validate_args=False)
