"""The count summed out exactly: the gradient of the ELBO in n, with no variance from z_pres left.

    loss = -mean_b sum_n q(n) [ log p(x | canvas_n) - kl_n + log p(n) - log q(n) ]

Unbiased for the ELBO. It costs N + 1 likelihoods instead of one, and the N + 1 come from one roll-out.
"""

from __future__ import annotations

import torch
from torch import nn

from airctl.model import Objects
from airctl.objectives.terms import Estimator, Surrogate, Terms


class Exact(Estimator):
    """Differentiate the ELBO itself."""

    def __init__(self) -> None:
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.expected(objects, terms)

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        """Itself: nothing is sampled."""
        return Surrogate(-terms.elbo.mean(), terms.elbo.new_zeros(()), terms.elbo.detach())
