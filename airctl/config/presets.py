"""The presets: what each departs from the defaults in, and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from airctl.config.names import lookup
from airctl.config.sections import (
    Config,
    CountConfig,
    ModelConfig,
    NetworkConfig,
    ObjectiveConfig,
    OptimiserConfig,
    PriorConfig,
    TrainConfig,
)

# The count prior starts uniform: with its price of 4.6 nats an object from the first step on, some seeds learn to
# attend to nothing before they have learnt to draw (docs/experiments.md).
_RECURRENT = Config()
# Convolutional proposals, presence summed out over subsets, lessons by cut and paste. Every schedule is a share of
# the training, so that a short one is the same recipe.
_FAST = Config(
    preset="fast",
    model=ModelConfig(num_steps=6, glimpse=20, glimpse_hidden=256, fade=0.15),
    network=NetworkConfig(kind="proposals"),
    count=CountConfig(anneal_steps=136, anneal_share=0.17),
    objective=ObjectiveConfig(estimator="marginal", paste=32),
    optimiser=OptimiserConfig(lr=4e-3, warmup=20, muon=1e-2),
    train=TrainConfig(steps=1600, validate_every=100),
)
_PLAIN_ADAM = OptimiserConfig(lr=1e-4, schedule="constant", warmup=0, clip=math.inf)

# Eslami et al. 2016 as its authors meant it: the count prior is annealed, each decision gets the credit of what
# comes after it, and the baseline never sees the decision that it is a baseline for. Its learning rate is not the
# paper's 1e-3 but 0.1, as in the report: it starts at 0 and its target lies hundreds of nats away; 0.1 counts better in
# every seed (docs/results.md). docs/report-2019.md says whose each choice is.
_PAPER = Config(
    preset="paper",
    model=ModelConfig(glimpse_hidden=200),
    network=NetworkConfig(embedding="raw"),
    count=CountConfig(probability=1e-5, anneal_steps=5_000),
    objective=ObjectiveConfig(estimator="score-function-neural"),
    optimiser=dataclasses.replace(_PLAIN_ADAM, baseline_lr=0.1),
    train=TrainConfig(steps=20_000, validate_every=1_000, checkpoint_every=1_000),
)

# Drelich 2019 to the letter, its baseline's bias included; what it does not say is as plain PyTorch has it, with none
# of our own starts. The prior is written N((3, 0, 0), diag(0.1, 1, 1)), a covariance: the scale's sd is sqrt(0.1).
# docs/report-2019.md says of each choice whether the report has it.
_REPORT_2019 = Config(
    preset="report-2019",
    model=ModelConfig(glimpse_hidden=200, decoder_bias=0.0),
    network=NetworkConfig(embedding="raw", present_bias=0.0, start="plain"),
    count=CountConfig(probability=1e-2, anneal="none"),
    prior=PriorConfig(where_scale=(math.sqrt(0.1), 1.0, 1.0)),
    objective=ObjectiveConfig(estimator="report-2019", baseline_head=200),
    optimiser=dataclasses.replace(_PLAIN_ADAM, baseline_lr=0.1),
    train=TrainConfig(steps=200_000, validate_every=1_000, checkpoint_every=1_000, keep_every=10_000),
)
# The other count prior that it names: from near 1 to 1e-7. Over how many steps it does not say: we took half of them.
_REPORT_2019_ANNEALED = dataclasses.replace(
    _REPORT_2019,
    preset="report-2019-annealed",
    count=CountConfig(probability=1e-7, start=0.99, anneal="exponential", anneal_steps=100_000),
)

PRESETS: Mapping[str, Config] = {
    config.preset: config for config in (_FAST, _RECURRENT, _PAPER, _REPORT_2019, _REPORT_2019_ANNEALED)
}
DEFAULT = "fast"


def preset(name: str) -> Config:
    """The preset of that name; ``ConfigError`` names the nearest one otherwise."""
    return lookup(PRESETS, "preset", name)
