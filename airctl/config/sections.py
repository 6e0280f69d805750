"""Every choice of a run, as frozen dataclasses: a section each, a field each key, with its meaning and its range."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any


def _choice(default: str, *others: str, help: str) -> Any:
    return field(default=default, metadata={"help": help, "choices": (default, *others)})


def _at_least(default: float, low: float, high: float = math.inf, *, help: str) -> Any:
    return field(default=default, metadata={"help": help, "range": (low, high)})


def _plain(default: Any, *, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of p(x, z) and q(z | x)."""

    canvas: int = _at_least(0, 0, 4096, help="side of the canvas in pixels; 0: as the data has it")
    num_steps: int = _at_least(
        3, 1, 64, help="most objects per scene: N steps of a recurrent network, M local maxima of a map of proposals"
    )
    object_size: float = _at_least(
        0.0, 0.0, 4096, help="proposals: side of an object with its margin, in pixels; 0: as the data has it"
    )
    glimpse: int = _at_least(28, 2, 512, help="side of the glimpse in pixels")
    what: int = _at_least(50, 1, 4096, help="size of z_what")
    glimpse_hidden: int = _at_least(400, 1, 8192, help="hidden units of the glimpse encoder and of the decoder")
    encoder: str = _plain("mlp", help="encoder of the glimpse, by its name in airctl.model.encoders")
    decoder: str = _plain("mlp", help="decoder of the object, by its name in airctl.model.decoders")
    decoder_bias: float = _plain(-2.0, help="the decoder starts at sigmoid(decoder_bias), nearly empty")
    fade: float = _at_least(
        0.0, 0.0, 0.5, help="share of the glimpse's side over which what is drawn fades towards its edge; 0: not at all"
    )


@dataclass(frozen=True)
class NetworkConfig:
    """The inference network: what proposes objects."""

    kind: str = _plain("recurrent", help="inference network, by its name in airctl.model: recurrent, proposals")
    hidden: int = _at_least(256, 1, 8192, help="recurrent: LSTM units")
    predict_hidden: int = _at_least(200, 1, 8192, help="recurrent: hidden units between the LSTM and (z_where, z_pres)")
    embedding: str = _plain("conv", help="recurrent: what the LSTM reads, convolutions or the raw pixels")
    attention_input: str = _plain(
        "canvas", help="recurrent: what the embedding sees, the canvas, or the residual that no object explains yet"
    )
    present_bias: float = _plain(
        2.0, help="recurrent: logit of q(z_pres = 1) at the start: attend first, learn to stop later"
    )
    start: str = _choice(
        "near",
        "plain",
        help="recurrent: where q starts. near: q(z_where) around the prior's mean with sd 0.1, q(z_what) with sd 1; "
        "plain: both as linear layers and softplus give them, around 0 with sd 0.69",
    )
    suppression: float = _at_least(
        0.1, 0.0, 10.0, help="proposals: object sizes around a local maximum of the map within which it is the highest"
    )
    dense: int = _at_least(4, 0, 10, help="proposals: more cells, not only local maxima, when counting")
    exploration: float = _at_least(1.0, 0.0, help="proposals: scale of the Gumbel noise on the map in training")
    pull: float = _at_least(30.0, 0.0, help="proposals: pull towards ink at the first step")
    explore_steps: int = _at_least(
        136, 0, help="proposals: steps until the pull is gone, a sixth of the training at most"
    )
    reading_temperature: float = _at_least(
        10.0, 1e-3, 1e6, help="proposals: T of q(S) w(S)^(1/T), from which the count is read"
    )


@dataclass(frozen=True)
class LikelihoodConfig:
    """p(x | the objects)."""

    kind: str = _plain("gaussian", help="pixel likelihood, by its name in airctl.model.likelihoods")
    sd: float = _at_least(
        0.3,
        1e-3,
        1e3,
        help="standard deviation of a pixel, of all but the two bernoullis; learnt and optimal start with it",
    )


@dataclass(frozen=True)
class CountConfig:
    """p(n), the prior of the number of objects in a scene, with its annealing."""

    kind: str = _plain("geometric", help="count prior, by its name in airctl.model.count_priors")
    probability: float = _at_least(
        1e-2, 1e-30, 1.0, help="geometric: probability of one more object, at the end of the annealing"
    )
    start: float = _at_least(1.0, 1e-30, 1.0, help="geometric: the same at step 0; 1: uniform p(n)")
    anneal: str = _choice(
        "exponential", "linear", "none", help="how start becomes probability; none: probability from the first step on"
    )
    anneal_steps: int = _at_least(300, 0, help="steps of the annealing")
    anneal_share: float = _at_least(
        0.0, 0.0, 1.0, help="the annealing takes at most this share of the training; 0: no bound"
    )
    mean: float = _at_least(1.0, 1e-6, 1e6, help="poisson, negative-binomial: mean count, before it is truncated")
    dispersion: float = _at_least(
        1.0, 1e-6, 1e9, help="negative-binomial: r of the variance mean + mean^2 / r; large: nearly poisson"
    )


@dataclass(frozen=True)
class PriorConfig:
    """p(z_where); p(z_what) is the standard normal."""

    where_loc: tuple[float, float, float] = _plain(
        (3.0, 0.0, 0.0), help="mean of p(z_where): scale (canvas side / glimpse side), x, y"
    )
    where_scale: tuple[float, float, float] = _plain(
        (0.2, 1.0, 1.0), help="standard deviations of p(z_where): scale, x, y"
    )


@dataclass(frozen=True)
class PosteriorConfig:
    """q(z_where) and q(z_what)."""

    where: str = _plain("diagonal", help="recurrent: family of q(z_where), by its name in airctl.model.posteriors")
    what: str = _plain("diagonal", help="family of q(z_what), by its name in airctl.model.posteriors")
    where_sd_max: float = _at_least(
        0.0, 0.0, help="upper bound of the standard deviations of q(z_where), x and y in half glimpses; 0: none"
    )


@dataclass(frozen=True)
class PictureConfig:
    """How pictures become scenes, bright on black; as the data has it, and applied again to every picture."""

    object_size: float = _at_least(
        0.0, 0.0, 1e5, help="diameter of an object in pixels of the picture; 0: pictures are taken as they are"
    )
    channel: str = _choice("grey", "red", "green", "blue", "brightest", help="what is looked at of a colour picture")
    invert: str = _choice("no", "yes", "each", help="whether objects are dark on bright; each: as each picture is")
    background: str = _choice("flat", "none", help="flat: uneven light is taken off; none: it is left")
    black: float = _at_least(0.0, -1.0, 1.0, help="brightness above the background that becomes 0")
    white: float = _at_least(1.0, 0.0, 2.0, help="brightness above the background that becomes 1")
    adapt: str = _choice("no", "yes", help="whether all of this is found out anew for each picture")


@dataclass(frozen=True)
class ObjectiveConfig:
    """Which gradient estimator trains the model, by its name in ``airctl.objectives``."""

    estimator: str = _plain("defensive", help="gradient estimator, by its name in docs/estimators.md")
    share: float = _at_least(
        0.1, 0.0, 1.0, help="defensive: share of uniform weights on the counts at the first step, 0 at the last"
    )
    reward_constant: float = _plain(
        0.0,
        help="score-function-likelihood, report-2019: nats added to the reward, the log likelihood; minus the "
        "Gaussian's normaliser, -712.6 at 50x50 and sd 0.3, makes it -|x - canvas|^2 / (2 sd^2)",
    )
    baseline_hidden: int = _at_least(256, 1, 8192, help="LSTM units of the neural baseline")
    baseline_head: int = _at_least(
        0, 0, 8192, help="hidden units of the neural baseline's f, between its LSTM and the prediction; 0: f is linear"
    )
    samples: int = _at_least(
        4,
        2,
        1024,
        help="K: counts per scene of rloo; roll-outs of vimco, dreg and reweighted-wake-sleep; J of gumbel-rao",
    )
    temperature: float = _at_least(
        0.67,
        1e-3,
        1e3,
        help="temperature of concrete, straight-through and gumbel-rao at the end of its annealing; where rebar starts",
    )
    temperature_start: float = _at_least(0.67, 1e-3, 1e3, help="temperature of concrete at its first step")
    temperature_anneal_steps: int = _at_least(
        0, 0, help="steps from temperature_start to temperature, exponentially; 0: temperature throughout"
    )
    temper: float = _at_least(30.0, 1.0, 1e6, help="marginal: temperature of the posterior at the first step")
    temper_steps: int = _at_least(
        200, 0, help="marginal: steps until the temperature is 1, a quarter of the training at most"
    )
    map_weight: float = _at_least(30.0, 0.0, help="marginal: weight of the cross-entropy that teaches the logits")
    label_weight: float = _at_least(
        10.0, 0.0, help="train.labels: weight of log q(n | x), beside the bound of log p(x, n)"
    )
    paste: int = _at_least(0, 0, 1 << 16, help="scenes made by cut and paste per step, with proposals; 0: none")
    paste_from: int = _at_least(
        240, 0, help="first step with scenes made by cut and paste, a quarter of the training at most"
    )
    paste_every: int = _at_least(2, 1, help="steps from one with such scenes to the next")
    paste_near: float = _at_least(0.12, 0.0, 0.9, help="least distance of their two centres, in object sizes")
    paste_tries: int = _at_least(6, 1, 64, help="pairs tried for each scene of the batch")


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam, its learning-rate schedule and the clipping of the gradient's norm."""

    muon: float = _at_least(
        0.0, 0.0, help="learning rate of Muon for the matrices of glimpse encoder and decoder; 0: Adam for all"
    )
    lr: float = _at_least(2e-3, 0.0, help="learning rate of the model, the highest of the schedule")
    baseline_lr: float = _at_least(1e-3, 0.0, help="learning rate of the baseline and of an estimator's own parameters")
    schedule: str = _choice("cosine", "constant", help="course of the learning rate over train.steps")
    warmup: int = _at_least(50, 0, help="steps over which the learning rate rises from 0")
    clip: float = _at_least(10.0, 0.0, help="largest norm of the model's gradient; inf: not clipped")


@dataclass(frozen=True)
class TrainConfig:
    """How long, on what and how often it is looked at."""

    steps: int = _at_least(2000, 0, help="training steps")
    batch: int = _at_least(64, 1, 1 << 20, help="scenes per step")
    seed: int = _at_least(0, 0, 2**63 - 1, help="seed of the weights, of the order of the scenes and of all samples")
    validation: int = _at_least(2000, 0, help="scenes held out from the train split for validation")
    labels: int = _at_least(0, 0, help="training scenes whose counts the model is told, the first that are known")
    label_boxes: str = _choice("no", "yes", help="whether it is told the boxes of their objects too")
    label_share: float = _at_least(
        0.0625,
        0.0,
        1.0,
        help="share of a batch that is drawn from the labelled, beside those that come by chance",
    )
    validate_every: int = _at_least(200, 1, help="steps between validations")
    checkpoint_every: int = _at_least(500, 1, help="steps between checkpoints")
    keep_last: int = _at_least(3, 1, help="number of newest checkpoints kept")
    keep_every: int = _at_least(0, 0, help="keep the checkpoints at multiples of this step for good; 0: none")


@dataclass(frozen=True)
class Config:
    """All of a run; the defaults are preset ``recurrent``.

    ``config.train.batch`` is ``--set train.batch=128`` on the command line and ``[train] batch = 128`` in TOML.
    """

    preset: str = "recurrent"
    model: ModelConfig = ModelConfig()
    network: NetworkConfig = NetworkConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    count: CountConfig = CountConfig()
    prior: PriorConfig = PriorConfig()
    posterior: PosteriorConfig = PosteriorConfig()
    picture: PictureConfig = PictureConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    train: TrainConfig = TrainConfig()


def settings(config: Config) -> dict[str, Any]:
    """Every value of the config by its key, such as ``network.hidden``."""
    return {
        f"{section.name}.{entry.name}": getattr(values, entry.name)
        for section in dataclasses.fields(config)
        if dataclasses.is_dataclass(values := getattr(config, section.name))
        for entry in dataclasses.fields(values)
    }
