"""Results read from a folder are untrusted: whether they have the shape that a page or a figure needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from airctl.errors import InputFileError

NUMBER = (int, float)
MAYBE = (int, float, NoneType)


@dataclass(frozen=True)
class Each:
    """An object whose values all have one shape, whatever their keys."""

    shape: Any


_BOXES = [[NUMBER]]
_SHOWN = {"side": int, "boxes": _BOXES, "drawn": str, "found": int}
EVALUATION = {
    **dict.fromkeys(("count_accuracy", "standard_error", "count_accuracy_amortised", "count_accuracy_sampled"), NUMBER),
    **dict.fromkeys(("elbo", "mean_iou", "average_precision"), NUMBER),
    **dict.fromkeys(("objects", "scenes", "step", "num_steps", "seed"), int),
    "data": str,
    "split": str,
    "confusion": [[int]],
    "outcomes": Each(NUMBER),
}
GALLERY = {
    "scenes": [
        {**_SHOWN, "true": int, "image": str, "true_boxes": _BOXES, "scene": int, "outcome": str},
    ],
    "glimpses": [{"image": str, "side": int, "boxes": _BOXES, "steps": [{"glimpse": str, "object": str}]}],
    "prior": [[str]],
    "traversal": {"values": [NUMBER], "rows": [{"number": int, "objects": [str]}]},
}
FRAMES = [{"step": int, "scenes": [{**_SHOWN, "true": int, "image": str}]}]
_GROUP = dict.fromkeys(("norm_variance", "norm_variance_error", "total_variance", "total_variance_error"), NUMBER)
_ESTIMATORS = Each(
    {
        **_GROUP,
        **dict.fromkeys(("bias", "bias_p_value", "signal_to_noise", "relative_cost", "efficiency"), MAYBE),
        **dict.fromkeys(("cosine", "seconds_per_sample"), NUMBER),
        "groups": Each(_GROUP),
    }
)
VARIANCE = {
    **dict.fromkeys(("samples", "batch", "step", "fit_steps", "seed"), int),
    "estimators": _ESTIMATORS,
    "checkpoints": [{"step": int, "estimators": _ESTIMATORS}],
}


def check(value: Any, shape: Any, where: str) -> None:
    """``InputFileError`` that names ``where`` and what in it, if ``value`` has another shape than ``shape``.

    A shape is a type or a tuple of types, [shape] for a list, {key: shape} for an object that has at least these keys,
    or ``Each``.
    """
    fault = _fault(value, shape, "")
    if fault:
        raise InputFileError(
            f"the results in {where} are not what this airctl writes: {fault}. Run airctl eval, or variance-report, "
            "again, and delete frames/ if that does not help"
        )


def _fault(value: Any, shape: Any, place: str) -> str:
    """What is wrong with ``value``, which stands at ``place``; empty if nothing is."""
    name = place or "the file"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name} is no list"
        return next((fault for i, one in enumerate(value) if (fault := _fault(one, shape[0], f"{place}[{i}]"))), "")
    if isinstance(shape, Each | dict):
        if not isinstance(value, Mapping):
            return f"{name} is no object"
        keys = shape if isinstance(shape, dict) else dict.fromkeys(value, shape.shape)
        missing = [key for key in keys if key not in value]
        if missing:
            return f"{name} has no {missing[0]}"
        parts = ((key, _fault(value[key], inner, f"{place}.{key}".lstrip("."))) for key, inner in keys.items())
        return next((fault for _, fault in parts if fault), "")
    if isinstance(value, bool) or not isinstance(value, shape):
        wanted = {int: "whole number", str: "text", NUMBER: "number", MAYBE: "number"}.get(shape, "value of that kind")
        return f"{name} is no {wanted}"
    return ""
