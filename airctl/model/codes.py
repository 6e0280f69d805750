"""Codes: which sets of the proposed objects a scene may consist of, and how z_pres says which.

A code is a table of K codewords, each a set of the M objects, and M decisions z_pres_i ~ Bernoulli(sigmoid(logit_i))
that lead to one of them. Whatever is summed, sampled or enumerated over the number of objects goes through it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from airctl.model.placed import Layers


class Code(ABC):
    """The codewords over M objects."""

    def __init__(self, size: int) -> None:
        self.size = size  # M

    @property
    @abstractmethod
    def members(self) -> Tensor:
        """Which objects each codeword has, bool [K, M]."""

    @property
    def counts(self) -> Tensor:
        """How many objects each codeword has, [K]."""
        return self.members.sum(1)

    @abstractmethod
    def log_q(self, logits: Tensor) -> Tensor:
        """log q(codeword) [..., K] from the ``logits`` [..., M] of the decisions, in log space throughout."""

    @abstractmethod
    def log_p(self, log_count: Tensor) -> Tensor:
        """log p(codeword) [K] from the count prior log p(n) [M + 1]."""

    @abstractmethod
    def by_count(self, log_weights: Tensor) -> Tensor:
        """The log of the summed weights of all codewords with n objects, [..., K] -> [..., M + 1]."""

    @abstractmethod
    def decisions(self, codewords: Tensor) -> tuple[Tensor, Tensor]:
        """Which decisions are taken on the way to ``codewords`` [B], and which of them as 1 -> two masks [B, M]."""

    @abstractmethod
    def credit(
        self, whole: Tensor, kl: Tensor, log_p: Tensor, log_present: Tensor, log_absent: Tensor, codewords: Tensor
    ) -> Tensor:
        """``whole`` [B, M], the ELBO of the sampled ``codewords`` [B], less what decision i cannot change, [B, M].

        ``kl`` [B, K] and ``log_p`` [K] are those of all codewords, ``log_present`` and ``log_absent`` [B, M] the log
        probabilities of the two outcomes of each decision.
        """

    @abstractmethod
    def beyond(self, log_q: Tensor, codewords: Tensor) -> Tensor:
        """Had the decision that ended ``codewords`` [B] come out as 1: the probabilities of what follows, [B, K]."""

    @abstractmethod
    def outcomes(self, values: Tensor, codewords: Tensor, further: Tensor) -> tuple[Tensor, Tensor]:
        """The ``values`` [B, K] that each decision would have led to as 1 and as 0, the others as they were, [B, M].

        ``further`` [B] is a draw from ``beyond``.
        """

    @abstractmethod
    def rank(self, present: Tensor) -> Tensor:
        """Below 1, the higher the earlier an object is named among its like; ``present`` [B, M] is its probability."""

    @abstractmethod
    def presence(self, decided: Tensor) -> Tensor:
        """How far each object is there, [B, M], if the decisions come out as ``decided`` [B, M] in [0, 1]."""

    @abstractmethod
    def weights(self, decided: Tensor) -> Tensor:
        """The probability of each codeword, [B, K], if the decisions are 1 with probability ``decided`` [B, M]."""

    @abstractmethod
    def sums(self, values: Tensor) -> Tensor:
        """The sum over the objects of each codeword, [B, M] -> [B, K]."""

    @abstractmethod
    def squares(self, canvas: Tensor, layers: Layers) -> Tensor:
        """|x - canvas of the codeword|^2, [B, K], of scenes ``canvas`` [B, H, W]."""

    @abstractmethod
    def canvases(self, layers: Layers) -> Tensor:
        """The sum of the objects of each codeword, [B, K, H, W]."""


class Unary(Code):
    """The first n objects, n = 0..M: the report's "unary code", in which K = M + 1 and codeword n has n objects.

    Decision i is taken only where all before it came out as 1 (Eslami et al. 2016, section 2.2):
    q(n) = (1 - p_{n+1}) prod_{i <= n} p_i, and prod_i p_i for n = M.
    """

    @property
    def members(self) -> Tensor:
        return torch.ones(self.size + 1, self.size, dtype=torch.bool).tril(-1)

    def log_q(self, logits: Tensor) -> Tensor:
        log_present, log_absent = F.logsigmoid(logits), F.logsigmoid(-logits)
        return F.pad(log_present.cumsum(-1), (1, 0)) + F.pad(log_absent, (0, 1))

    def log_p(self, log_count: Tensor) -> Tensor:
        return log_count

    def by_count(self, log_weights: Tensor) -> Tensor:
        return log_weights

    def decisions(self, codewords: Tensor) -> tuple[Tensor, Tensor]:
        index = torch.arange(self.size, device=codewords.device)
        return index <= codewords[:, None], index < codewords[:, None]

    def credit(
        self, whole: Tensor, kl: Tensor, log_p: Tensor, log_present: Tensor, log_absent: Tensor, codewords: Tensor
    ) -> Tensor:
        # Earlier steps have paid their KL; log p and log q count from decision i on, given that it was reached.
        reached = log_p.flip(0).logcumsumexp(0).flip(0)[:-1]  # [M] log p(n >= i - 1)
        paid_q = log_present.cumsum(1) - log_present  # [B, M] log q of the earlier decisions
        return whole + kl[:, :-1] - reached + paid_q

    def beyond(self, log_q: Tensor, codewords: Tensor) -> Tensor:
        # q(n | n > count); where there is nothing beyond, because the count is M, all of it is at M.
        index = torch.arange(self.size + 1, device=codewords.device)
        here = (index <= codewords[:, None]) & (index < self.size)
        return log_q.detach().masked_fill(here, -torch.inf).softmax(1)

    def outcomes(self, values: Tensor, codewords: Tensor, further: Tensor) -> tuple[Tensor, Tensor]:
        present = self.decisions(codewords)[1]
        reached = values.gather(1, codewords[:, None])
        continued = torch.where(present, reached, values.gather(1, further[:, None]))  # [B, M]
        return continued, values[:, :-1]  # z_i = 0 leaves i - 1 objects, and step i stands at index i - 1

    def rank(self, present: Tensor) -> Tensor:
        return torch.zeros_like(present)  # in the order of the steps

    def presence(self, decided: Tensor) -> Tensor:
        return decided.cumprod(1)

    def weights(self, decided: Tensor) -> Tensor:
        reached = F.pad(F.pad(self.presence(decided), (1, 0), value=1.0), (0, 1))  # [B, M + 2] n >= 0, 1 .. M + 1
        return -reached.diff(dim=1)

    def sums(self, values: Tensor) -> Tensor:
        return F.pad(values.cumsum(1), (1, 0))

    def squares(self, canvas: Tensor, layers: Layers) -> Tensor:
        # One object after the other is taken off the scene: a pass over its pixels for each, whatever came before.
        rest = canvas.flatten(1)
        squares = [torch.linalg.vecdot(rest, rest)]
        for drawn in layers.dense().flatten(2).unbind(1):
            rest = rest - drawn
            squares.append(torch.linalg.vecdot(rest, rest))
        return torch.stack(squares, 1)

    def canvases(self, layers: Layers) -> Tensor:
        return F.pad(layers.dense().cumsum(1), (0, 0, 0, 0, 1, 0))
