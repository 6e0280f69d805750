"""Layers that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer with ReLU."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Cell(nn.Module):
    """An LSTM cell whose input comes in two parts: a constant one, projected once a scene, and the step's own.

    The canvas does not change over the steps, so its projection (the largest product of the paper's network) is
    hoisted out of the recurrence; before the first step there is nothing to recur on. Same equations as
    ``torch.nn.LSTMCell`` with the state and the step's own input zero at the start.
    """

    def __init__(self, constant: int, step: int, hidden: int) -> None:
        super().__init__()
        # Kept as [inputs, 4H]: its gradient is then the product of the faster order.
        self.constant_weight = nn.Parameter(torch.empty(constant, 4 * hidden))
        self.constant_bias = nn.Parameter(torch.empty(4 * hidden))
        self.recurrent = nn.Linear(step + hidden, 4 * hidden, bias=False)
        bound = hidden**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def constant(self, inputs: Tensor) -> Tensor:
        """The projection of the constant input [B, E] -> [B, 4H], once for all steps."""
        return torch.addmm(self.constant_bias, inputs, self.constant_weight)

    def first(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """The state (h, c), [B, H] each, after the first step from ``projected`` = constant(input) [B, 4H]."""
        i, _, g, o = projected.chunk(4, 1)
        c = i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def forward(self, projected: Tensor, step: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The state after a later step with its own input ``step`` [B, S]."""
        h, c = state
        i, f, g, o = (projected + self.recurrent(torch.cat([step, h], 1))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
