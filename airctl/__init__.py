"""airctl: Attend, Infer, Repeat (Eslami et al. 2016), trained and measured. ``airctl --help`` shows the commands."""

import os

# Threads that spin while they wait take a core from the thread that works as soon as anything else runs: a step of
# two threads beside one other process took 1.5 s spinning and 0.1 s sleeping. On a quiet machine spinning is a third
# faster: OMP_WAIT_POLICY=ACTIVE in the environment has it back. It must be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from airctl._version import __version__
from airctl.api import draw_data, draw_run, evaluate, load, measure_variance, report
from airctl.config import PRESETS, Config, override, preset
from airctl.errors import AirctlError
from airctl.inference import Box, Found, infer
from airctl.scenes import Fitting, SceneSpec
from airctl.scenes import generate_data as generate
from airctl.summary import info
from airctl.training import train

__all__ = [
    "PRESETS",
    "AirctlError",
    "Box",
    "Config",
    "Fitting",
    "Found",
    "SceneSpec",
    "__version__",
    "draw_data",
    "draw_run",
    "evaluate",
    "generate",
    "infer",
    "info",
    "load",
    "measure_variance",
    "override",
    "preset",
    "report",
    "train",
]
