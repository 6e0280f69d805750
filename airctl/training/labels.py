"""The labels of a training: which scenes they are of, and a share of them in every batch."""

from __future__ import annotations

import math

import numpy as np
import torch

from airctl.config import Config
from airctl.errors import ConfigError
from airctl.objectives import Labels, require_summed_out
from airctl.objectives.labelled import UNKNOWN
from airctl.scenes import KeptScenes
from airctl.training.randomness import SceneOrder, derive


def labels_of(split: KeptScenes, number: int, config: Config) -> Labels:
    """What ``config.train`` tells of the first ``number`` scenes of ``split``: the first of known counts are labelled.

    ``ConfigError`` where there are too few of them, where one has more objects than are proposed, where there are no
    boxes to tell, and for an estimator that cannot be told.
    """
    settings, most = config.train, config.model.num_steps
    require_summed_out(config.objective.estimator)
    known = split.counted[:number].nonzero()[0]
    if settings.labels > len(known):
        raise ConfigError(
            f"train.labels is {settings.labels}, but of the {number} training scenes {len(known)} have a known count: "
            "expected at most as many"
        )
    told = known[: settings.labels]
    counts = np.full(number, UNKNOWN, np.int64)
    counts[told] = split.counts[told]
    if counts.max() > most:
        raise ConfigError(
            f"a labelled scene has {counts.max()} objects, but model.num_steps={most} proposes {most} at most: "
            f"expected model.num_steps={counts.max()} or more"
        )
    if settings.label_boxes == "no":
        return Labels(torch.from_numpy(counts))
    boxes = split.boxes[:number]
    if ((boxes[told] >= 0).all(-1).sum(-1) < split.counts[told]).any():
        raise ConfigError("train.label_boxes is yes, but the scenes have no boxes: expected scenes of generate-data")
    return Labels(torch.from_numpy(counts), torch.from_numpy(boxes))


class LabelledOrder:
    """The scenes of each step with ``share`` of them from the labelled ones: a function of (seed, step) as before.

    The labelled come in permutations of all of them, one after the other, spread over the batch in the places of scenes
    that came by the usual order.
    """

    def __init__(self, order: SceneOrder, labels: Labels, share: float) -> None:
        self.order, self.labelled = order, (labels.counts >= 0).nonzero()[:, 0].cpu().numpy()
        self.places = np.linspace(0, order.batch, math.ceil(share * order.batch), endpoint=False).astype(np.int64)

    def at(self, step: int) -> np.ndarray:
        """Indices of the scenes of step ``step`` (from 0), [B]."""
        indices, size = self.order.at(step).copy(), len(self.labelled)
        turns = step * len(self.places) + np.arange(len(self.places))
        for turn in np.unique(turns // size):
            permuted = np.random.default_rng(derive(self.order.seed, "labelled", int(turn))).permutation(size)
            here = turns // size == turn
            indices[self.places[here]] = self.labelled[permuted[turns[here] % size]]
        return indices
