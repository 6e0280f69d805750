"""From objects and their terms to an answer: p(n | x), the most probable set of objects, how sure each of them is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from airctl.model import AIR, Objects
from airctl.objectives import Terms


@dataclass(frozen=True)
class Answer:
    """What a model says of B scenes with M proposed objects each."""

    log_count: Tensor  # [B, M + 1] log p(n | x)
    counts: Tensor  # [B] the most probable n
    order: Tensor  # [B, M] the objects of the most probable codeword with n objects first, then the others
    present: Tensor  # [B, M] p(n >= 1 | x), p(n >= 2 | x) and so on: that there is a first, a second ... object
    each: Tensor  # [B, M] posterior probability of each proposal, in that order; those of one object share it
    drawn: Tensor  # [B, H, W] the canvas of that codeword

    @classmethod
    def of(cls, model: AIR, objects: Objects, terms: Terms) -> Answer:
        """Read ``objects`` as the model's network says (``read`` of it)."""
        code = objects.code
        log_posterior = model.network.read(terms.log_q, terms.log_w)  # [B, K]
        log_count = code.by_count(log_posterior)
        counts = log_count.argmax(1)
        members = code.members.to(counts.device)
        other = code.counts.to(counts.device) != counts[:, None]  # [B, K]
        taken = members[log_posterior.masked_fill(other, -torch.inf).argmax(1)]  # [B, M]
        each = log_posterior.exp() @ members.to(log_posterior)  # [B, M]
        # Of equal rank the earlier step comes first: the order in which a recurrent network attended.
        order = (taken.to(each) + code.rank(each)).argsort(dim=1, descending=True, stable=True)
        present = log_count.exp().flip(1).cumsum(1).flip(1)[:, 1:]
        return cls(log_count, counts, order, present, each.gather(1, order), objects.layers.sum(taken.to(each)))
