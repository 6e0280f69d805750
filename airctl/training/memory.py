"""What a config asks of the memory, counted before it is spent: a config is a few bytes that can ask for terabytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from airctl.config import Config
from airctl.errors import AirctlError, ConfigError, InputFileError
from airctl.files import is_regular
from airctl.scenes.hdf5 import half_of_the_memory

_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_SPARE = 1 << 26  # bytes that a model may need beside those of its file
_KEPT = 4  # times the weights: themselves, their gradients, and two moments


class Bounded(TorchFunctionMode):
    """While entered, no more than ``most`` bytes of tensors are made: ``error`` is raised before the one beyond."""

    def __init__(self, most: float, error: AirctlError) -> None:
        super().__init__()
        self.rest, self.error = most, error

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _MAKERS:
            size = args[0] if args and not isinstance(args[0], int) else args or kwargs.get("size", ())
            one = torch.empty((), dtype=kwargs.get("dtype"))  # torch takes Python's own bool and float too
            self.rest -= math.prod(size) * one.element_size()
            if self.rest < 0:
                raise self.error
        return func(*args, **kwargs)


def room_to_train() -> Bounded:
    """For weights that this machine can train; ``ConfigError`` for more."""
    most = half_of_the_memory() / (_KEPT / 2)
    return Bounded(
        most,
        ConfigError(
            f"the config asks for more than {most / 1e9:.1f} GB of weights, which with what training keeps of each is "
            "more than this machine's memory: make network.hidden, model.glimpse_hidden, model.glimpse or the canvas "
            "smaller"
        ),
    )


def room_of(path: Path) -> Bounded:
    """For the weights that a file of its size can hold; ``InputFileError`` for more."""
    size = path.stat().st_size if is_regular(path) else 0
    return Bounded(
        min(2 * half_of_the_memory(), 4 * size + _SPARE),
        InputFileError(
            f"{path} does not fit its config, which asks for more weights than a file of {size} bytes holds"
        ),
    )


def require_room_for_a_batch(config: Config) -> None:
    """Raise ``ConfigError`` for a batch whose glimpses, drawn objects and canvases alone are more than the memory."""
    sizes, batch = config.model, config.train.batch
    pixels = 2 * sizes.glimpse**2 + (sizes.canvas**2 if config.network.kind == "recurrent" else 0)
    needed, memory = 4 * batch * sizes.num_steps * pixels, 2 * half_of_the_memory()
    if needed > memory:
        raise ConfigError(
            f"a batch of {batch} scenes needs at least {needed / 1e9:.1f} GB, where this machine has "
            f"{memory / 1e9:.1f} GB: lower train.batch, model.num_steps or model.glimpse"
        )
