"""The loop, its checkpoints and the run folder."""

from airctl.training.loop import Learner, Progress, TrainResult, pick_device, train, training_step
from airctl.training.run import RunFolder

__all__ = ["Learner", "Progress", "RunFolder", "TrainResult", "pick_device", "train", "training_step"]
