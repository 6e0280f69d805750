"""What an estimator learns beside the model and a run has not trained: fitted before the estimator is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from airctl.model import AIR
from airctl.objectives import Estimator, Exact, observe, terms_of


def fit_baselines(
    model: AIR,
    estimators: Iterable[Estimator],
    batches: Iterable[Tensor],
    log_p: Tensor,
    steps: int,
    make_generator: Callable[[str, int], torch.Generator],
) -> None:
    """Let the baselines of estimators learn on the frozen ``model``, one step for each batch [B, D, D] in [0, 1].

    All of them read the same roll-outs. The learning rate falls from 0.1 to 0 as half a cosine over ``steps``: a
    baseline starts at 0 and its target lies hundreds of nats away, which 1e-3 does not reach in a thousand steps
    (docs/experiments.md).
    """
    learning = []
    for chosen in estimators:
        parameters = list(chosen.modules.parameters())
        learning.append((chosen, torch.optim.Adam(parameters, fused=True) if parameters else None))
        chosen.modules.train()
    for step, canvas in enumerate(batches):
        with torch.no_grad():
            objects = observe(model, canvas, Exact(), make_generator("roll-out", step))
            terms = terms_of(objects, log_p, model.likelihood)
        for chosen, optimizer in learning:
            loss = chosen(objects, terms, make_generator("counts", step)).baseline_loss
            if optimizer is not None:
                optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * step / max(1, steps)))
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
