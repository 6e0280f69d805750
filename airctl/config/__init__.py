"""Every choice of a run: frozen dataclasses, presets, TOML files, and ``section.key=value`` overrides.

The resolved config is saved in the run folder, so nothing that shaped a run is a default somewhere in the code.
"""

from airctl.config.files import described, dumps, load, loads, override, toml
from airctl.config.names import hint, lookup
from airctl.config.presets import DEFAULT, PRESETS, preset
from airctl.config.sections import (
    Config,
    CountConfig,
    LikelihoodConfig,
    ModelConfig,
    NetworkConfig,
    ObjectiveConfig,
    OptimiserConfig,
    PictureConfig,
    PosteriorConfig,
    PriorConfig,
    TrainConfig,
    settings,
)

__all__ = [
    "DEFAULT",
    "PRESETS",
    "Config",
    "CountConfig",
    "LikelihoodConfig",
    "ModelConfig",
    "NetworkConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
    "PictureConfig",
    "PosteriorConfig",
    "PriorConfig",
    "TrainConfig",
    "described",
    "dumps",
    "hint",
    "load",
    "loads",
    "lookup",
    "override",
    "preset",
    "settings",
    "toml",
]
