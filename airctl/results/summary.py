"""What ``airctl info`` says of a scene file, a run folder or an exported model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Bytes, Sha256, Share, Steps

_PIXEL = "0 to 255"


@dataclass(frozen=True)
class SplitSummary:
    """Counts, pixels and boxes of one split."""

    scenes: Annotated[int, Is("how many", "scenes")]
    counts: Annotated[list[int], Is("scenes with 0, 1, ... objects", "scenes")]
    mean_pixel: Annotated[float, Is("mean of all pixel values", _PIXEL)]
    pixel_sd: Annotated[float, Is("their standard deviation", _PIXEL)]
    black: Annotated[Share, Is("pixels of value 0")]
    white: Annotated[Share, Is("pixels of value 255")]
    pixel_histogram: Annotated[list[int], Is("pixels by value, 16 values a bin", "pixels")]
    mean_pixel_by_count: Annotated[dict[int, float], Is("mean pixel value by number of objects", _PIXEL)]
    mean_box: Annotated[list[float] | None, Is("mean width and height of a box; null without boxes", "pixels")]
    overlap: Annotated[Share | None, Is("scenes with several objects in which two boxes touch; null without any")]


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """A scene file, every byte of which was checked."""

    kind: Annotated[str, Is("data")] = "data"
    path: Annotated[str, Is("the file")]
    bytes: Annotated[Bytes, Is("size of the file")]
    sha256: Annotated[Sha256, Is("of the file")]
    file_schema: Annotated[int, Is("schema of the scene file (data/README.md)")]
    generator: Annotated[str, Is("what made the file")]
    generator_version: Annotated[str, Is("its version")]
    preset: Annotated[str, Is("the recipe of the scenes")]
    seed: Annotated[int, Is("of the scenes")]
    min_digits: Annotated[int, Is("fewest objects per scene", "objects")] = 0
    max_digits: Annotated[int, Is("most objects per scene", "objects")]
    canvas: Annotated[int, Is("side of a scene", "pixels")]
    object_size: Annotated[
        float | None, Is("side of an object with its margin; null in files of older versions", "pixels")
    ] = None
    picture: Annotated[
        dict[str, str | float] | None, Is("how pictures became the scenes (section picture); null without pictures")
    ] = None
    scale_mean: Annotated[float, Is("mean scale of an object, glyph side / side in the scene")]
    scale_sd: Annotated[float, Is("its standard deviation")]
    digits: Annotated[str, Is("where the objects come from")]
    digits_sha256: Annotated[Sha256, Is("of the arrays of digits and labels")]
    train: Annotated[SplitSummary | None, Is("the train split; null if it is empty")]
    test: Annotated[SplitSummary | None, Is("the test split; null if it is empty")]


@dataclass(frozen=True)
class DataOrigin:
    """The scene file that a model was trained on."""

    path: Annotated[str, Is("where it was; of an exported model, its name alone")]
    sha256: Annotated[Sha256 | None, Is("of the file")]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run folder."""

    kind: Annotated[str, Is("run")] = "run"
    path: Annotated[str, Is("the folder")]
    preset: Annotated[str, Is("the preset that it started from")]
    estimator: Annotated[str, Is("the gradient estimator")]
    seed: Annotated[int, Is("of weights, order and noise")]
    step: Annotated[Steps | None, Is("of the newest checkpoint; null before the first")]
    steps: Annotated[Steps, Is("that the run is to have")]
    finished: Annotated[bool, Is("whether it has them")]
    changed: Annotated[list[str], Is("what of the config is not the preset's, as section.key=value")]
    checkpoints: Annotated[list[int], Is("their steps", "training steps")]
    validation_accuracy: Annotated[Share | None, Is("the latest count accuracy on the validation scenes")]
    best_accuracy: Annotated[Share | None, Is("the best one")]
    best_step: Annotated[Steps | None, Is("when that was")]
    data: Annotated[DataOrigin, Is("what it was trained on")]
    data_exists: Annotated[bool, Is("whether that file is still in its place")]
    results: Annotated[list[str], Is("names of its result files")]
    bytes: Annotated[Bytes, Is("size of all files in the folder")]


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """An exported model, every byte of which was checked."""

    kind: Annotated[str, Is("model")] = "model"
    path: Annotated[str, Is("the file")]
    bytes: Annotated[Bytes, Is("size of the file")]
    weights_sha256: Annotated[Sha256, Is("of config, state and weights, stored in the file")]
    airctl: Annotated[str, Is("version that exported it")]
    run: Annotated[str, Is("name of the run that it comes from")]
    preset: Annotated[str, Is("the preset that the run started from")]
    estimator: Annotated[str, Is("the gradient estimator")]
    seed: Annotated[int, Is("of weights, order and noise")]
    step: Annotated[Steps, Is("of the checkpoint")]
    changed: Annotated[list[str], Is("what of the config is not the preset's, as section.key=value")]
    data: Annotated[DataOrigin, Is("what it was trained on")]
