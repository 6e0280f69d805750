"""State of optimisers as tensors: all of it comes back, and half of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from airctl.errors import InputFileError
from airctl.training import checkpoint as checkpoints


def test_a_parameter_that_never_had_a_gradient_has_no_state_and_is_no_damage(tmp_path: Path) -> None:
    """Adam keeps nothing for it; the checkpoint loads, and what the others have comes back."""
    modules = torch.nn.ModuleDict({"taught": torch.nn.Linear(2, 2), "idle": torch.nn.Linear(2, 2)})
    adam = torch.optim.Adam(modules.parameters())
    modules["taught"](torch.ones(1, 2)).sum().backward()
    adam.step()
    path = checkpoints.save(tmp_path, 1, modules, [adam], {})
    again = torch.optim.Adam(modules.parameters())
    checkpoints.load(path, modules, [again])
    weight = modules["taught"].weight
    assert torch.equal(again.state[weight]["exp_avg"], adam.state[weight]["exp_avg"])
    assert modules["idle"].weight not in again.state


def test_half_of_a_parameters_state_is_damage(tmp_path: Path) -> None:
    """Negative control: a moment without its fellow is refused, and so is a step that left no state at all."""
    modules = torch.nn.ModuleDict({"taught": torch.nn.Linear(2, 2)})
    adam = torch.optim.Adam(modules.parameters())
    modules["taught"](torch.ones(1, 2)).sum().backward()
    adam.step()
    del adam.state[modules["taught"].weight]["exp_avg_sq"]
    path = checkpoints.save(tmp_path, 1, modules, [adam], {})
    with pytest.raises(InputFileError, match="does not fit"):
        checkpoints.load(path, modules, [torch.optim.Adam(modules.parameters())])
    adam.state.clear()
    path = checkpoints.save(tmp_path, 2, modules, [adam], {})
    with pytest.raises(InputFileError, match="holds no optimiser state"):
        checkpoints.load(path, modules, [torch.optim.Adam(modules.parameters())])
