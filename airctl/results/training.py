"""How a call of ``airctl train`` ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Seconds, Share, Steps


@dataclass(frozen=True)
class TrainResult:
    """How a call of ``train`` ended."""

    run: Annotated[str, Is("the run folder")]
    steps: Annotated[Steps, Is("done in all")]
    seconds: Annotated[Seconds, Is("of this call")]
    validation_accuracy: Annotated[Share | None, Is("the latest count accuracy on the validation scenes")]
    stopped_by: Annotated[int | None, Is("the signal that stopped it, if one did")] = None
