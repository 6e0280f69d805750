"""TensorBoard as an extra: the rows of metrics.jsonl as scalars, in files that its own library writes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airctl.errors import ConfigError


class Board:
    """Event files in ``folder``, for ``tensorboard --logdir``; ``ConfigError`` without the package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "tensorboard=True needs the package tensorboard: pip install 'airctl[tensorboard]', or leave it out "
                "(metrics.csv and metrics.jsonl are written in any case)",
                "tensorboard",
            ) from error
        self._make = SummaryWriter
        self._writer: Any = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Every number of a metrics row but its step."""
        if (
            self._writer is None
        ):  # at the first row, so that what a resumed run measures again takes the old one's place
            self._writer = self._make(str(self.folder), purge_step=row["step"])
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Have everything on the disk."""
        if self._writer is not None:
            self._writer.close()
