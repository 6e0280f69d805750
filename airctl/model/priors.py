"""p(z_what): Eslami et al. 2016, section 2; "Experiments with AIR" (2019), sections 3 and 4.

p(z_where) is in ``poses.py``, since it depends on what a pose means; p(n) is in ``count_priors.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from airctl.model.posteriors import normal


class WhatPrior(nn.Module):
    """p(z_what) = N(0, 1), independent for each object."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(size), persistent=False)
        self.register_buffer("scale", torch.ones(size), persistent=False)
        self.loc: Tensor
        self.scale: Tensor

    def forward(self) -> Independent[Normal]:
        """p(z_what), event [C]."""
        return normal(self.loc, self.scale)
