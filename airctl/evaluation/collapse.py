"""The two known ways in which AIR stops learning to count, told by what validation sees anyway.

The ELBO alone does not show them: a model that always takes N steps reconstructs well and reaches 600 nats and more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from airctl.config import Config
from airctl.group import ALONE, Group
from airctl.model import AIR, Objects
from airctl.objectives import Terms
from airctl.scenes.spec import NO_COUNT

NEVER, ALWAYS = "never attends", "always takes all steps"
_CERTAIN = 0.98  # mean q(n = 0), or the share of N that the mean count reaches
_NATS = 5.0  # as near to the value of an empty canvas as this
_LUCK = 0.02  # as near to the share of the commonest count as this


@dataclass(frozen=True)
class CountState:
    """How a model counts S scenes at the posterior means."""

    accuracy: float | None  # of the most probable count; None where no true count is known
    elbo: float  # mean, nats a scene
    empty: float  # mean log-likelihood of an empty canvas, nats a scene
    q_none: float  # mean q(n = 0)
    mean_count: float  # mean of n under q(n)
    commonest: float  # share of the commonest true count; 0 where none is known
    share_none: float  # share of scenes without an object, of those with a known count
    num_steps: int

    @classmethod
    def of(
        cls, model: AIR, passed: Iterable[tuple[Objects, Terms]], true_counts: Tensor, group: Group = ALONE
    ) -> CountState:
        """From passes of ``model`` over the scenes whose ``true_counts`` [S] these are; NO_COUNT is unknown.

        Each process of a ``group`` has passed over its own, and all get the same state.
        """
        chunks = []
        for objects, terms in passed:
            posterior = model.network.read(terms.log_q, terms.log_w)
            objective = model.network.objective(terms.log_q, terms.log_w)
            chunks.append((objects.code.by_count(posterior), objective, terms.log_likelihood[:, 0]))
        log_q, elbo, empty = (group.joined([chunk[i] for chunk in chunks]) for i in range(3))
        q = log_q.exp().double()
        known = true_counts != NO_COUNT
        number = max(1, int(known.sum()))
        shares = torch.bincount(true_counts[known], minlength=1).double() / number
        right = int((log_q.argmax(1) == true_counts).sum())
        return cls(
            accuracy=right / number if known.any() else None,
            elbo=elbo.mean().item(),
            empty=empty.mean().item(),
            q_none=q[:, 0].mean().item(),
            mean_count=(q @ torch.arange(q.shape[1], dtype=q.dtype, device=q.device)).mean().item(),
            commonest=shares.max().item(),
            share_none=shares[0].item(),
            num_steps=q.shape[1] - 1,
        )

    def collapse(self) -> str | None:
        """``NEVER``, ``ALWAYS`` or None. Scenes that are truly all empty, or all full, are no collapse."""
        counted = self.accuracy is not None
        by_luck = self.accuracy is None or (self.accuracy <= self.commonest + _LUCK and self.accuracy < 1 - _LUCK)
        if self.q_none > _CERTAIN and abs(self.elbo - self.empty) < _NATS and self.share_none < _CERTAIN and by_luck:
            return NEVER
        # A scene may be full of objects that nobody has counted.
        return ALWAYS if counted and self.mean_count > _CERTAIN * self.num_steps and by_luck else None


def advice(kind: str, state: CountState, config: Config) -> str:
    """What is seen, what it means, and what helps, in one sentence."""
    prior = config.count
    if kind == NEVER:
        return (
            f"the model attends to nothing: q(n = 0) is {state.q_none:.3f}, and the ELBO of {state.elbo:.1f} that of "
            f"an empty canvas, {state.empty:.1f}; it seldom recovers: start again with objects that cost nothing at "
            "first (count.anneal=exponential, count.start=1.0, "
            f"count.anneal_steps={max(300, 2 * prior.anneal_steps)}), with steps switched on "
            "(network.present_bias=2.0), or with another seed"
        )
    return (
        f"the model takes all {state.num_steps} steps in every scene: mean count {state.mean_count:.2f}, count "
        f"accuracy {state.accuracy:.1%}, where the commonest count alone is {state.commonest:.1%}; objects cost too "
        "little: start again with a stricter count prior "
        f"(count.probability={max(1e-30, prior.probability / 100):.0e}), or with objective.estimator=exact"
    )
