"""What ``airctl eval`` found: counts, boxes and failures, with all that one must know to compare two evaluations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from airctl.results.as_json import Is
from airctl.results.outcomes import OutcomeShares, outcome_key
from airctl.results.units import Sha256, Share, Steps


@dataclass(frozen=True)
class CountReport:
    """Counts of S scenes, true against inferred."""

    count_accuracy: Annotated[Share, Is("scenes whose most probable count is the true one")]
    count_accuracy_sampled: Annotated[Share, Is("the same of one sample of n from its posterior")]
    standard_error: Annotated[Share, Is("of count_accuracy, from the number of scenes alone")]
    per_count_accuracy: Annotated[dict[int, float], Is("count accuracy by true count", "0 to 1")]
    confusion: Annotated[
        list[list[int]],
        Is("number of scenes: a row for each true count, a column for each most probable one", "scenes"),
    ]
    elbo: Annotated[
        float,
        Is(
            "mean ELBO or collapsed objective (no strict bound of log p(x)), the objects' presence summed out",
            "nats per scene",
        ),
    ]
    scenes: Annotated[int, Is("scenes that were counted", "scenes")]


@dataclass(frozen=True)
class DetectionReport:
    """Inferred boxes of S scenes against the true ones."""

    mean_iou: Annotated[
        float | None, Is("mean IoU of the true objects, 0 for one without a box; null without objects", "0 to 1")
    ]
    average_precision: Annotated[Share, Is("area under the precision-recall curve of the boxes, at IoU 0.5")]
    objects: Annotated[int, Is("true objects in all", "objects")]


@dataclass(frozen=True, kw_only=True)
class DensityReport:
    """How probable the model finds S scenes."""

    bits_per_dimension: Annotated[
        float | None,
        Is(
            "upper bound of -log2 P(x) per pixel, P that of the scene's 256 levels, comparable across likelihoods; "
            "null in older results",
            "bits",
        ),
    ] = None
    log_likelihood: Annotated[
        float | None,
        Is("mean estimate of log p(x) by importance sampling; null if it was not asked for", "nats per scene"),
    ] = None
    log_likelihood_error: Annotated[
        float | None, Is("its standard error, from the scatter of the scenes; null as above", "nats per scene")
    ] = None
    log_likelihood_samples: Annotated[int | None, Is("samples of each scene behind it; null as above")] = None


@dataclass(frozen=True, kw_only=True)
class Evaluation(DensityReport, DetectionReport, CountReport):
    """The scenes of one split, as one checkpoint counts them."""

    run: Annotated[str, Is("the run folder or exported model")]
    data: Annotated[str, Is("the scene file")]
    data_sha256: Annotated[Sha256 | None, Is("of the scene file; null in older results")] = None
    split: Annotated[str, Is("train or test")]
    step: Annotated[Steps, Is("of the checkpoint")]
    checkpoint: Annotated[str, Is("which checkpoint was asked for: last, best or a step")] = "last"
    weights_sha256: Annotated[Sha256 | None, Is("of the checkpoint's weights; null as above")] = None
    num_steps: Annotated[int, Is("most objects that could be inferred in a scene")]
    seed: Annotated[int, Is("of the noise")]
    outcomes: Annotated[OutcomeShares, Is("what became of the scenes")]
    accurate_enough: Annotated[bool, Is("whether the accuracy asked for was reached")] = True

    @classmethod
    def of_older(cls, mapping: Mapping[str, Any]) -> dict[str, Any]:
        """An eval.json from before there was a schema: its outcomes have names with spaces, and NaN stands for null.

        Its counts may be those of a search after the network's own pass, which is no more.
        """
        mended = {key: value for key, value in mapping.items() if key not in ("count_accuracy_amortised", "crowded")}
        if isinstance(outcomes := mapping.get("outcomes"), Mapping):
            mended["outcomes"] = {outcome_key(name): share for name, share in outcomes.items()}
        if mapping.get("mean_iou") != mapping.get("mean_iou"):
            mended["mean_iou"] = None
        return mended


def usual_name(split: str) -> str:
    """The name, without its suffix, of the evaluation of a run's own data with nothing but the defaults."""
    return f"eval-{split}"


def name_of_data(split: str, data: str, sha256: str) -> str:
    """The same of another scene file than the run's own."""
    return f"{usual_name(split)}-{re.sub(r'[^A-Za-z0-9._]+', '_', Path(data).stem)[:40]}-{sha256[:8]}"


def name(result: Evaluation, own_data: bool, num_steps: int) -> str:
    """The name of a result's file, without its suffix: all in which it is not the usual one is part of it.

    ``own_data`` is whether it is of the file that the run was trained on, ``num_steps`` what the run was trained with.
    """
    usual = usual_name(result.split)
    parts = [usual if own_data else name_of_data(result.split, result.data, result.data_sha256 or "")]
    parts += [f"steps={result.num_steps}"] * (result.num_steps != num_steps)
    parts += [f"log-likelihood={result.log_likelihood_samples}"] * (result.log_likelihood_samples is not None)
    parts += [f"checkpoint={result.checkpoint}"] * (result.checkpoint != "last")
    return "-".join([*parts, *[f"seed={result.seed}"] * (result.seed != 0)])


def unlike(evaluations: Sequence[Evaluation]) -> list[str]:
    """Why these evaluations cannot be compared number by number, a sentence each; none if they can."""
    told = []
    seen: dict[str, set[Any]] = {
        "scene files": {one.data_sha256 or one.data for one in evaluations},
        "splits": {one.split for one in evaluations},
        "numbers of steps": {one.num_steps for one in evaluations},
    }
    for what, values in seen.items():
        if len(values) > 1:
            told.append(f"these runs were evaluated on different {what}: {_listed(values)}")
    return told


def _listed(values: set[Any]) -> str:
    return ", ".join(sorted(text if len(text) != 64 else f"sha256 {text[:8]}" for text in map(str, values)))
