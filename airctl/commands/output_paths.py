"""Where a command may write what a person names: nothing is replaced unasked, and no file of a run at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from airctl.errors import ConfigError


def require_free(paths: Iterable[Path], force: bool) -> None:
    """Raise ``ConfigError`` for a file that exists, unless it may be replaced."""
    for path in paths:
        if path.exists() and not force:
            raise ConfigError(f"{path} exists: say force=True to replace it, or choose another name", "force")


def require_no_file_of(run: Path, path: Path) -> None:
    """Raise ``ConfigError`` for a file in the folder ``run``, which may not be replaced by anything else."""
    if path.exists() and path.resolve().is_relative_to(run.resolve()):
        raise ConfigError(f"{path} is a file of the run {run}: choose another name")
