"""The priors of the latents in closed form."""

from __future__ import annotations

import math

import torch

from airctl.config import PriorConfig
from airctl.model import Relative
from airctl.model.priors import WhatPrior


def test_latent_priors_are_those_of_the_config() -> None:
    """p(z_where) has the config's mean and standard deviations, p(z_what) is standard normal."""
    poses, what = Relative(PriorConfig(where_loc=(3.0, 0.5, -0.5), where_scale=(0.1, 1.0, 2.0))), WhatPrior(3)
    where = poses.prior(torch.zeros(1, 9, 9))
    torch.testing.assert_close(where.mean, torch.tensor([3.0, 0.5, -0.5]))
    torch.testing.assert_close(where.stddev, torch.tensor([0.1, 1.0, 2.0]))
    expected = torch.full((2,), -1.5 * math.log(2 * math.pi))
    torch.testing.assert_close(what().log_prob(torch.zeros(2, 3)), expected)
    assert not poses.state_dict(), "the prior is config, not weights"
    assert not what.state_dict()
