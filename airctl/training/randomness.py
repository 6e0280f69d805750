"""Randomness as a function of (seed, purpose, step): nothing random has a state, so a stop loses none."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from airctl.errors import ConfigError


def derive(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed for one purpose at one step; different arguments give unrelated streams."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str, step: int, device: torch.device) -> torch.Generator:
    """A fresh generator on ``device`` for one purpose at one step."""
    return torch.Generator(device).manual_seed(derive(seed, purpose, step))


class SceneOrder:
    """The scenes of each step: every epoch is a permutation of its own, and what does not fill a batch is left out."""

    def __init__(self, seed: int, scenes: int, batch: int) -> None:
        if scenes < batch:
            raise ConfigError(
                f"{scenes} training scenes do not fill one batch of {batch}: generate more scenes, or lower "
                "train.batch or train.validation"
            )
        self.seed, self.scenes, self.batch = seed, scenes, batch
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def at(self, step: int) -> np.ndarray:
        """Indices of the scenes of step ``step`` (from 0), [B]."""
        epoch, position = divmod(step, self.scenes // self.batch)
        if epoch != self._epoch:
            permuted = np.random.default_rng(derive(self.seed, "order", epoch)).permutation(self.scenes)
            self._epoch, self._order = epoch, permuted
        return self._order[position * self.batch :][: self.batch]
