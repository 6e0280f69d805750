"""airctl: Attend, Infer, Repeat (Eslami et al. 2016), trained and measured. ``airctl --help`` shows the commands."""

import os

# Threads that spin while they wait take a core from the thread that works as soon as anything else runs: a step of
# two threads beside one other process took 1.5 s spinning and 0.1 s sleeping. On a quiet machine spinning is a third
# faster: OMP_WAIT_POLICY=ACTIVE in the environment has it back. It must be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from airctl._version import __version__
from airctl.commands.count import count
from airctl.commands.evaluate import evaluate
from airctl.commands.export import export, export_onnx
from airctl.commands.generate import generate
from airctl.commands.generate_cells import generate_cells
from airctl.commands.import_pictures import import_pictures
from airctl.commands.infer import infer
from airctl.commands.info import info
from airctl.commands.loaded import load
from airctl.commands.preview import draw_data, draw_run
from airctl.commands.report import report
from airctl.commands.sweep import sweep
from airctl.commands.train import train
from airctl.commands.variance import measure_variance
from airctl.commands.verify import verify
from airctl.config import PRESETS, Config, override, preset
from airctl.errors import AirctlError
from airctl.inference import Box, Found
from airctl.results.evaluation import Evaluation
from airctl.results.variance import VarianceReport
from airctl.scenes import Fitting, SceneSpec

__all__ = [
    "PRESETS",
    "AirctlError",
    "Box",
    "Config",
    "Evaluation",
    "Fitting",
    "Found",
    "SceneSpec",
    "VarianceReport",
    "__version__",
    "count",
    "draw_data",
    "draw_run",
    "evaluate",
    "export",
    "export_onnx",
    "generate",
    "generate_cells",
    "import_pictures",
    "infer",
    "info",
    "load",
    "measure_variance",
    "override",
    "preset",
    "report",
    "sweep",
    "train",
    "verify",
]
