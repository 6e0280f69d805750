"""Canvases of many scenes for a model: on its device while they are few, otherwise fetched as they are needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from airctl.scenes import Rows


class Images:
    """Scenes uint8 [S, H, W], or a range of them, for a model on ``device``.

    ``batch``, ``split`` and slices mean what they mean of a tensor of all of them, and give the same values. ``rows``
    in memory lie on the device at once; others are read from the disk by every call.
    """

    def __init__(self, rows: Rows | np.ndarray, device: torch.device) -> None:
        rows = rows if isinstance(rows, Rows) else Rows.of(rows)
        self.device = device
        self._rows, self._range = rows, range(len(rows))
        values = rows.in_memory
        self._all = None if values is None else torch.from_numpy(values).to(device)

    def __len__(self) -> int:
        return len(self._range)

    @property
    def shape(self) -> tuple[int, ...]:
        """S, H and W."""
        return (len(self), *self._rows.shape[1:])

    def batch(self, indices: np.ndarray) -> Tensor:
        """Those at ``indices`` [B], uint8 [B, H, W] on the device."""
        if self._all is not None:
            return self._all[torch.from_numpy(indices + self._range.start).to(self.device)]
        return torch.from_numpy(self._rows[indices + self._range.start]).to(self.device)

    def __getitem__(self, part: slice) -> Images:
        """A range of them, of step 1, without a copy."""
        some = object.__new__(Images)
        some.device, some._rows, some._all, some._range = self.device, self._rows, self._all, self._range[part]
        return some

    def all(self) -> Tensor:
        """All in one tensor: for a few."""
        start, stop = self._range.start, self._range.stop
        if self._all is not None:
            return self._all[start:stop]
        return torch.from_numpy(self._rows[start:stop]).to(self.device)

    def split(self, size: int) -> Iterator[Tensor]:
        """All in turn, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size].all()
