"""airctl: Attend, Infer, Repeat (Eslami et al. 2016), trained and measured. ``airctl --help`` shows the commands."""

from airctl._version import __version__
from airctl.api import draw_data, draw_run, evaluate, load, measure_variance
from airctl.config import PRESETS, Config, override, preset
from airctl.errors import AirctlError
from airctl.scenes import SceneSpec
from airctl.scenes import generate_data as generate
from airctl.training import train

__all__ = [
    "PRESETS",
    "AirctlError",
    "Config",
    "SceneSpec",
    "__version__",
    "draw_data",
    "draw_run",
    "evaluate",
    "generate",
    "load",
    "measure_variance",
    "override",
    "preset",
    "train",
]
