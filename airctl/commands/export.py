"""A trained model as one small file: ``airctl export``."""

from __future__ import annotations

from pathlib import Path

from airctl.commands.loaded import load
from airctl.errors import ConfigError
from airctl.training import exported


def export(run: Path | str, out: Path | str, *, checkpoint: str = "last", force: bool = False) -> Path:
    """Write the model of a run to ``out``, a FILE.airctl that every command reads in the run's place; returns its path.

    It holds weights, config and origin, and nothing of the optimiser. A file that exists is replaced only by ``force``.
    """
    out = Path(out)
    if out.exists() and not force:
        raise ConfigError(f"{out} exists: say force=True to replace it, or choose another name", "force")
    loaded = load(run, checkpoint, "cpu")
    name = loaded.run.resolve().name if loaded.is_run else exported.read_header(loaded.path).run
    exported.write(out, name, loaded.step, loaded.config, loaded.data, loaded.weights_sha256, loaded.model)
    return out
