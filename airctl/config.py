"""Every choice of a run, as frozen dataclasses: three presets, TOML files, and ``section.key=value`` overrides.

The resolved config is saved in the run folder, so nothing that shaped a run is a default somewhere in the code.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from airctl.errors import ConfigError, InputFileError
from airctl.files import read_small


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


@dataclass(frozen=True)
class NetworkConfig:
    """The inference network: what proposes objects."""

    kind: str = _plain("recurrent", help="inference network, by its name in airctl.model: recurrent, proposals")
    hidden: int = _at_least(256, 1, 8192, help="recurrent: LSTM units")
    predict_hidden: int = _at_least(200, 1, 8192, help="recurrent: hidden units between the LSTM and (z_where, z_pres)")
    embedding: str = _plain("conv", help="recurrent: what the LSTM reads, a convolutional embedding or the raw pixels")
    attention_input: str = _plain(
        "canvas", help="recurrent: what the embedding sees, the canvas, or the residual that no object explains yet"
    )
    present_bias: float = _plain(
        2.0, help="recurrent: logit of q(z_pres = 1) at the start: attend first, learn to stop later"
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
    sd: float = _at_least(0.3, 1e-3, 1e3, help="gaussian: standard deviation of a pixel")


@dataclass(frozen=True)
class CountConfig:
    """p(n), the prior of the number of objects in a scene, with its annealing."""

    kind: str = _plain("geometric", help="count prior, by its name in airctl.model.priors")
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

    where: str = _plain("diagonal", help="family of q(z_where), by its name in airctl.model.posteriors")
    what: str = _plain("diagonal", help="family of q(z_what), by its name in airctl.model.posteriors")
    where_sd_max: float = _at_least(
        0.0, 0.0, help="upper bound of the standard deviations of q(z_where), x and y in half glimpses; 0: none"
    )


@dataclass(frozen=True)
class ObjectiveConfig:
    """Which gradient estimator trains the model, by its name in ``airctl.objectives``."""

    estimator: str = _plain("defensive", help="gradient estimator, by its name in docs/estimators.md")
    share: float = _at_least(
        0.1, 0.0, 1.0, help="defensive: share of uniform weights on the counts at the first step, 0 at the last"
    )
    baseline_hidden: int = _at_least(256, 1, 8192, help="LSTM units of the neural baseline")
    samples: int = _at_least(
        4, 2, 1024, help="K: counts per scene of rloo; roll-outs per scene of vimco and reweighted-wake-sleep"
    )
    temperature: float = _at_least(
        0.67, 1e-3, 1e3, help="temperature of concrete at the end of its annealing; where rebar starts"
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
    validate_every: int = _at_least(200, 1, help="steps between validations")
    checkpoint_every: int = _at_least(500, 1, help="steps between checkpoints")
    keep_last: int = _at_least(3, 1, help="number of newest checkpoints kept")
    keep_every: int = _at_least(0, 0, help="keep the checkpoints at multiples of this step for good; 0: none")


@dataclass(frozen=True)
class Config:
    """All of a run; the defaults are preset ``fast``.

    ``config.model.hidden`` is ``--set model.hidden=512`` on the command line and ``[model] hidden = 512`` in TOML.
    """

    preset: str = "recurrent"
    model: ModelConfig = ModelConfig()
    network: NetworkConfig = NetworkConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    count: CountConfig = CountConfig()
    prior: PriorConfig = PriorConfig()
    posterior: PosteriorConfig = PosteriorConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    train: TrainConfig = TrainConfig()


# The count prior starts uniform: with its price of 4.6 nats an object from the first step on, some seeds learn to
# attend to nothing before they have learnt to draw (docs/experiments.md).
_RECURRENT = Config()
# Convolutional proposals, presence summed out over subsets, lessons by cut and paste. Every schedule is a share of
# the training, so that a short one is the same recipe.
_FAST = Config(
    preset="fast",
    model=ModelConfig(num_steps=6, glimpse=20, glimpse_hidden=256),
    network=NetworkConfig(kind="proposals"),
    count=CountConfig(anneal_steps=136, anneal_share=0.17),
    objective=ObjectiveConfig(estimator="marginal", paste=32),
    optimiser=OptimiserConfig(lr=4e-3, warmup=20, muon=1e-2),
    train=TrainConfig(steps=1600, validate_every=100),
)
_PLAIN_ADAM = OptimiserConfig(lr=1e-4, schedule="constant", warmup=0, clip=math.inf)

# Eslami et al. 2016 as its authors meant it: the count prior is annealed, each decision gets the credit of what
# comes after it, and the baseline never sees the decision that it is a baseline for. Its learning rate is the paper's;
# 0.1 is the better one, in every seed (docs/results.md).
_PAPER = Config(
    preset="paper",
    model=ModelConfig(glimpse_hidden=200),
    network=NetworkConfig(embedding="raw"),
    count=CountConfig(probability=1e-5, anneal_steps=5_000),
    objective=ObjectiveConfig(estimator="score-function-neural"),
    optimiser=dataclasses.replace(_PLAIN_ADAM, baseline_lr=1e-3),
    train=TrainConfig(steps=20_000, validate_every=1_000, checkpoint_every=1_000),
)

# Drelich 2019 to the letter: section 4 of the report gives these numbers, its baseline's bias included.
_REPORT_2019 = Config(
    preset="report-2019",
    model=ModelConfig(glimpse_hidden=200, decoder_bias=0.0),
    network=NetworkConfig(embedding="raw"),
    count=CountConfig(probability=1e-2, anneal="none"),
    prior=PriorConfig(where_scale=(0.1, 1.0, 1.0)),
    objective=ObjectiveConfig(estimator="report-2019"),
    optimiser=dataclasses.replace(_PLAIN_ADAM, baseline_lr=0.1),
    train=TrainConfig(steps=200_000, validate_every=1_000, checkpoint_every=1_000, keep_every=10_000),
)

PRESETS: Mapping[str, Config] = {config.preset: config for config in (_FAST, _RECURRENT, _PAPER, _REPORT_2019)}
DEFAULT = "fast"

# Where the keys of older versions went. Both still load, and --set takes both.
_RENAMED = {
    "model.hidden": "network.hidden",
    "model.predict_hidden": "network.predict_hidden",
    "model.embedding": "network.embedding",
    "model.attention_input": "network.attention_input",
    "model.present_bias": "network.present_bias",
    "model.where_sd_max": "posterior.where_sd_max",
    "model.likelihood_sd": "likelihood.sd",
    "prior.count": "count.probability",
    "prior.count_start": "count.start",
    "prior.count_anneal": "count.anneal",
    "prior.count_anneal_steps": "count.anneal_steps",
}


def preset(name: str) -> Config:
    """The preset of that name; ``ConfigError`` names the nearest one otherwise."""
    return lookup(PRESETS, "preset", name)


T = TypeVar("T")


def lookup(registry: Mapping[str, T], key: str, name: str) -> T:
    """The entry ``name`` of a registry that config key ``key`` chooses from; ``ConfigError`` has a suggestion."""
    if name not in registry:
        raise ConfigError(f"there is no {key} {name!r}{hint(name, registry)}")
    return registry[name]


def hint(word: str, known: Iterable[str]) -> str:
    """A half sentence that helps after a misspelt word: the nearest known one, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": known are {', '.join(known)}"


def override(config: Config, settings: Iterable[str]) -> Config:
    """Apply ``section.key=value`` settings in their order; values are written as in TOML, bare words are strings."""
    for setting in settings:
        if len(setting) > 1000:
            raise ConfigError(f"{setting[:40]}...: expected a short KEY=VALUE")
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting}: expected KEY=VALUE, for instance model.hidden=512")
        section, _, name = key.strip().partition(".")
        config = _merge(config, {section: {name: _parse(text.strip())}} if name else {section: _parse(text.strip())})
    return config


def load(path: Path, base: Config | None = None) -> Config:
    """Read a TOML config over ``base`` (by default, over the preset that the file names)."""
    try:
        text = read_small(path).decode("utf-8")
    except (ValueError, InputFileError) as error:
        raise InputFileError(f"{path} cannot be read as a TOML config: {error}") from error
    return loads(text, str(path), base)


def loads(text: str, where: str, base: Config | None = None) -> Config:
    """``load`` of a TOML text that comes from ``where``."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{where} cannot be read as a TOML config: {error}") from error
    name = values.pop("preset", base.preset if base else DEFAULT)
    if name == "fast" and _is_of_an_older_version(values):
        name = "recurrent"  # as it is called since
    try:
        named = preset(str(name))
        if base and name != base.preset:
            raise ConfigError(f"it says preset {name!r}, but {base.preset!r} was asked for")
        return _merge(base or named, values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def settings(config: Config) -> dict[str, Any]:
    """Every value of the config by its key, such as ``model.hidden``."""
    return {
        f"{section.name}.{entry.name}": getattr(values, entry.name)
        for section in dataclasses.fields(config)
        if dataclasses.is_dataclass(values := getattr(config, section.name))
        for entry in dataclasses.fields(values)
    }


def _is_of_an_older_version(values: Mapping[str, Any]) -> bool:
    """Whether a config file has keys that have other names now."""
    return any(
        isinstance(values.get(s), Mapping) and k in values[s] for s, _, k in (o.partition(".") for o in _RENAMED)
    )


def dumps(config: Config, *, comments: bool = False) -> str:
    """The whole config as TOML; ``load`` of it gives the same config back, with ``comments`` or without.

    ``comments`` puts above each section what it is for and above each key what it means.
    """
    lines = [f"preset = {toml(config.preset)}"]
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        if dataclasses.is_dataclass(values):
            lines += ["", *([f"# {inspect.cleandoc(values.__doc__ or '')}"] if comments else []), f"[{section.name}]"]
            for entry in dataclasses.fields(values):
                lines += [f"# {described(entry)}"] if comments else []
                lines.append(f"{entry.name} = {toml(getattr(values, entry.name))}")
    return "\n".join(lines) + "\n"


def described(entry: dataclasses.Field[Any]) -> str:
    """What a key means, with the words that it can be."""
    choices = entry.metadata.get("choices")
    return str(entry.metadata["help"]) + (f" ({', '.join(choices)})" if choices else "")


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError, KeyError):  # also whole numbers of thousands of digits
        return text


def toml(value: Any) -> str:
    """One value of a config as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # escapes as TOML's basic strings do
    if isinstance(value, tuple):
        return f"[{', '.join(toml(v) for v in value)}]"
    return repr(value)  # int, and float with inf and nan, are written alike in TOML


def _merge(config: Config, values: Mapping[str, Any]) -> Config:
    """Put nested ``values`` into ``config``; every name, type and range is checked here and nowhere else."""
    sections = {f.name for f in dataclasses.fields(config) if f.name != "preset"}
    changed: dict[str, Any] = {}
    for section, entries in _current(values).items():
        if section not in sections:
            raise ConfigError(f"there is no config section {section!r}{_key_hint(section, sections)}")
        if not isinstance(entries, Mapping):
            raise ConfigError(f"{section} is a section: expected {section}.KEY=VALUE")
        old = getattr(config, section)
        types = get_type_hints(type(old))
        known = {f.name: f for f in dataclasses.fields(old)}
        new = {}
        for name, value in entries.items():
            if name not in known:
                raise ConfigError(f"there is no config key {section}.{name}{_key_hint(f'{section}.{name}', sections)}")
            new[name] = _checked(f"{section}.{name}", value, types[name], known[name].metadata)
        changed[section] = dataclasses.replace(old, **new)
    return dataclasses.replace(config, **changed)


def _current(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` with the keys of older versions under the names that they have now."""
    moved: dict[str, Any] = {s: dict(e) if isinstance(e, Mapping) else e for s, e in values.items()}
    for old, new in _RENAMED.items():
        (section, name), (new_section, new_name) = old.split("."), new.split(".")
        if isinstance(moved.get(section), dict) and name in moved[section]:
            moved.setdefault(new_section, {}).setdefault(new_name, moved[section].pop(name))
    return moved


def _key_hint(word: str, sections: Iterable[str]) -> str:
    keys = [f"{s}.{f.name}" for s in sections for f in dataclasses.fields(getattr(_RECURRENT, s))]
    by_name = {key.partition(".")[2]: key for key in keys}
    name = word.rpartition(".")[2]
    exact = [by_name[name]] if name in by_name else []
    near = exact or difflib.get_close_matches(word, keys, n=1)
    near = near or [by_name[n] for n in difflib.get_close_matches(name, by_name, n=1)]
    return f": did you mean {near[0]!r}?" if near else f": sections are {', '.join(sorted(sections))}"


def _checked(key: str, value: Any, kind: Any, metadata: Mapping[str, Any]) -> Any:
    if any(type(v) is int and abs(v) >= 1 << 63 for v in (value if isinstance(value, list | tuple) else [value])):
        raise ConfigError(f"{key}: the number is too large")
    if kind is float and type(value) is int:
        value = float(value)
    if kind is str and "choices" in metadata and value not in metadata["choices"]:
        raise ConfigError(f"{key} = {value!r}: expected one of {', '.join(metadata['choices'])}")
    if kind not in (int, float, str):  # the tuples of three numbers
        numbers = isinstance(value, list | tuple) and len(value) == 3
        if not numbers or not all(type(v) in (int, float) and math.isfinite(v) for v in value):
            raise ConfigError(f"{key} = {value!r}: expected three numbers, such as [3.0, 0.0, 0.0]")
        if key == "prior.where_scale" and min(value) <= 0:
            raise ConfigError(f"{key} = {value!r}: standard deviations must be above 0")
        return tuple(float(v) for v in value)
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", str: "a word"}
        raise ConfigError(f"{key} = {value!r}: expected {names[kind]}")
    if kind is float and math.isnan(value):
        raise ConfigError(f"{key} = nan: expected a number")
    if kind is float and math.isinf(value) and key != "optimiser.clip":
        raise ConfigError(f"{key} = {value}: only optimiser.clip may be without bound")
    low, high = metadata.get("range", (-math.inf, math.inf))
    if kind is not str and not low <= value <= high:
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        raise ConfigError(f"{key} = {value!r}: expected at least {low:g}{upper}")
    return value
