"""The gradient of a batch that several processes share: the sum of what each has of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airctl.group import Group

LARGE = 1 << 16  # numbers: such a gradient is a message of its own, and is not copied into one with others


def add_gradients(group: Group, parameters: list[nn.Parameter], wrong: Tensor) -> Tensor:
    """Let the gradients be the sums of all processes'; which of the checks ``wrong`` bool [C] failed in any of them.

    A gradient that no process has stays None. Small ones and the checks are one message.
    """
    if group.size == 1:
        return wrong
    there = wrong.new_tensor([parameter.grad is not None for parameter in parameters])
    gradients = [_laid_out(parameter) for parameter in parameters]
    large = [gradient.numel() >= LARGE and gradient.is_contiguous() for gradient in gradients]
    small = [gradient for gradient, alone in zip(gradients, large, strict=True) if not alone]
    sums = torch.cat([*(gradient.flatten() for gradient in small), torch.cat([there, wrong]).to(gradients[0])])
    group.add(sums)
    *added, there, wrong = sums.split([*(gradient.numel() for gradient in small), len(there), len(wrong)])
    for gradient, values in zip(small, added, strict=True):
        gradient.copy_(values.view_as(gradient))
    for gradient, alone in zip(gradients, large, strict=True):
        if alone:
            group.add(gradient)
    for parameter, gradient, known in zip(parameters, gradients, there.tolist(), strict=True):
        parameter.grad = gradient if known else None
    return wrong > 0


def _laid_out(parameter: nn.Parameter) -> Tensor:
    """Its gradient, or zeros, as the parameter lies in memory, which is the same in all processes."""
    gradient = parameter.grad
    if gradient is not None and gradient.stride() == parameter.stride():
        return gradient
    zeros = torch.zeros_like(parameter)
    return zeros if gradient is None else zeros.copy_(gradient)
