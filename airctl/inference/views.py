"""How a picture becomes what a model reads, and which of a person's choices have a say in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airctl.config import PictureConfig
from airctl.errors import ConfigError
from airctl.model import AIR, Gaussian, Proposals
from airctl.scenes import Fitted, Fitting, Picture, choose, develop, fit
from airctl.scenes.developing import ROOM, check_size, require_fit

CANVAS_ONLY = ("background", "fit", "fill", "resample")  # choices of ``Fitting`` for pictures that are not developed
WHOLE_TOO = ("background", "fit")  # those of them that pictures which keep their pixels obey as well


def reads_any_size(model: AIR) -> bool:
    """Whether whole pictures can be given to ``find_in_whole``."""
    return isinstance(model.network, Proposals) and isinstance(model.likelihood, Gaussian)


def check_choices(model: AIR, fitting: Fitting, num_steps: int | None = None) -> None:
    """``ConfigError`` for what ``fitting`` and ``num_steps`` say and ``view`` would not listen to."""
    if fitting.object_size:
        check_size(fitting.object_size)
    choices: dict[str, Any] = {name: getattr(fitting, name) for name in CANVAS_ONLY} | {"num_steps": num_steps}
    said = {name: value for name, value in choices.items() if value not in (None, "auto")}
    if fitting.object_size is not None:
        reason = f"with object_size={fitting.object_size:g}" if fitting.object_size else "where the size is found out"
    elif model.config.picture.object_size:
        reason = "with a model that has learnt from pictures, which makes others as those were"
    elif fitting.fit == "whole":
        reason, said = "with fit=whole", {name: value for name, value in said.items() if name not in WHOLE_TOO}
    else:
        return
    for name, value in said.items():
        raise ConfigError(f"{name}={value} has no effect {reason}: leave it out", name, "object_size", "fit")


def view(model: AIR, picture: Picture, fitting: Fitting, num_steps: int | None = None) -> Fitted:
    """``picture`` as ``model`` reads it.

    A model that has learnt from pictures, or whoever says how large the objects are, has the picture developed.
    Otherwise it is fitted to the canvas or, for a network that reads any size, keeps its pixels if it is larger, and
    nothing is said that only the canvas can obey. ``InputFileError`` for a picture that this cannot be done to.
    """
    config, how = model.config, model.config.picture
    said = {
        name: value for name, value in {"channel": fitting.channel, "invert": fitting.invert}.items() if value != "auto"
    }
    if fitting.object_size is not None or how.adapt == "yes":
        how = _found_out(picture, how, fitting.object_size or None, said, config.model.object_size)
    elif how.object_size:
        how = replace(how, **said)  # type: ignore[arg-type]  # mypy takes the values for those of any field
    if how.object_size:
        return develop(picture, how, config.model.object_size)
    if fitting.fit == "auto":
        larger = max(picture.size) > config.model.canvas
        asked_for_canvas = (fitting.fill, fitting.resample, num_steps) != (None, None, None)
        whole = larger and reads_any_size(model) and not asked_for_canvas
        fitting = replace(fitting, fit="whole" if whole else "pad")
    return fit(picture, config.model.canvas, fitting)


def _found_out(
    picture: Picture, usual: PictureConfig, object_size: float | None, said: dict[str, str], working_size: float
) -> PictureConfig:
    """What ``choose`` says of one picture; where it finds no objects, the ``usual`` way: it may have none."""
    if object_size is not None:
        require_fit(picture, object_size)
    try:
        return choose([picture], object_size, working_size=working_size, **said)
    except ConfigError:
        if object_size is not None:
            raise
        how = usual if usual.object_size else PictureConfig(object_size=working_size / ROOM)
        return replace(how, **said)  # type: ignore[arg-type]  # as above
