"""Where a model lives."""

from __future__ import annotations

import torch

from airctl.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """``auto`` is the GPU if there is one; ``ConfigError`` if a device is asked for that is not there."""
    name = "cuda" if name == "gpu" else name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: this machine has no GPU that torch can use: take device cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: expected auto, cpu, or cuda (gpu)")
    return torch.device(name)
