"""The learner, the session that trains it, its checkpoints and the run folder. Nothing here draws."""

from airctl.results.training import TrainResult
from airctl.training.devices import pick_device
from airctl.training.learner import Learner, training_step
from airctl.training.run import RunFolder
from airctl.training.session import Progress, Session

__all__ = ["Learner", "Progress", "RunFolder", "Session", "TrainResult", "pick_device", "training_step"]
