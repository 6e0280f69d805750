"""The code of a network without an order: a scene consists of any subset of the M proposed objects.

With b_i = <x, y_i> and G_ij = <y_i, y_j> the squared error of all 2^M subsets S is one Gram matrix away,

    |x - sum_{i in S} y_i|^2 = |x|^2 - 2 b.s + s'G s,    s the indicator of S,

and p(S) = p(n) / C(M, n) for n = |S|. docs/subsets.md has the derivation.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from airctl.errors import ConfigError
from airctl.model.codes import Code
from airctl.model.placed import Layers

MOST = 16  # objects whose subsets are enumerated: 65 536 codewords
DRAWN = 6  # objects whose subsets may each have a canvas of their own, for likelihoods without a Gram matrix


class Subsets(Code):
    """All subsets of M objects, K = 2^M; bit i of a codeword's number says whether object i is in it."""

    def __init__(self, size: int) -> None:
        if size > MOST:
            raise ConfigError(f"{size} proposals have {2**size} subsets: at most {MOST} can be summed out at once")
        super().__init__(size)

    @property
    def members(self) -> Tensor:
        return _members(self.size)

    def _table(self, like: Tensor) -> Tensor:
        """The members as numbers of the kind of ``like``, [K, M]."""
        return self.members.to(like)

    def log_q(self, logits: Tensor) -> Tensor:
        return logits @ self._table(logits).T - F.softplus(logits).sum(-1, keepdim=True)

    def log_p(self, log_count: Tensor) -> Tensor:
        counts = self.counts.to(log_count.device)
        size = torch.tensor(float(self.size), dtype=log_count.dtype, device=log_count.device)
        n = counts.to(log_count)
        choices = torch.lgamma(size + 1) - torch.lgamma(n + 1) - torch.lgamma(size - n + 1)
        return log_count[counts] - choices

    def by_count(self, log_weights: Tensor) -> Tensor:
        of_count = F.one_hot(self.counts, self.size + 1).bool().to(log_weights.device)  # [K, M + 1]
        return log_weights[..., None].masked_fill(~of_count, -torch.inf).logsumexp(-2)

    def decisions(self, codewords: Tensor) -> tuple[Tensor, Tensor]:
        present = self.members.to(codewords.device)[codewords]
        return torch.ones_like(present), present

    def credit(
        self, whole: Tensor, kl: Tensor, log_p: Tensor, log_present: Tensor, log_absent: Tensor, codewords: Tensor
    ) -> Tensor:
        # Decisions are independent: what the others pay for their bits has nothing to do with this one.
        present = self.decisions(codewords)[1]
        each_q = torch.where(present, log_present, log_absent)  # [B, M]
        alone = 1 << torch.arange(self.size, device=kl.device)  # the codeword of each object by itself
        each_kl = present * kl[:, alone]
        paid = each_q + each_kl
        return whole + paid.sum(1, keepdim=True) - paid

    def rank(self, present: Tensor) -> Tensor:
        return present / 2

    def presence(self, decided: Tensor) -> Tensor:
        return decided

    def weights(self, decided: Tensor) -> Tensor:
        table = self.members.to(decided.device)[None]  # [1, K, M]
        return torch.where(table, decided[:, None], 1 - decided[:, None]).prod(2)

    def outcomes(self, values: Tensor, codewords: Tensor, further: Tensor) -> tuple[Tensor, Tensor]:
        bits = 1 << torch.arange(self.size, device=codewords.device)
        return values.gather(1, codewords[:, None] | bits), values.gather(1, codewords[:, None] & ~bits)

    def beyond(self, log_q: Tensor, codewords: Tensor) -> Tensor:
        return F.one_hot(codewords, log_q.shape[1]).to(log_q)  # nothing follows from a decision: the codeword itself

    def sums(self, values: Tensor) -> Tensor:
        return values @ self._table(values).T

    def squares(self, canvas: Tensor, layers: Layers) -> Tensor:
        b, gram = layers.products(canvas)
        flat, table = canvas.flatten(1), self._table(b)
        pairs = (table[:, :, None] * table[:, None]).flatten(1)  # [K, M * M]
        squares: Tensor = torch.linalg.vecdot(flat, flat)[:, None] - 2 * b @ table.T + gram.flatten(1) @ pairs.T
        return squares

    def canvases(self, layers: Layers) -> Tensor:
        require_drawn(self.size)
        dense = layers.dense()
        canvases: Tensor = (self._table(dense) @ dense.flatten(2)).unflatten(2, dense.shape[2:])
        return canvases


def require_drawn(size: int) -> None:
    """Raise ``ConfigError`` if ``size`` proposals have too many subsets for a canvas each."""
    if size > DRAWN:
        raise ConfigError(
            f"this likelihood needs a canvas for each of the {2**size} subsets of {size} proposals: expected at most "
            f"{DRAWN} (model.num_steps and network.dense together), or a gaussian likelihood, whose subsets are one "
            "Gram matrix"
        )


@lru_cache
def _members(size: int) -> Tensor:
    index = torch.arange(2**size)
    return (index[:, None] >> torch.arange(size) & 1).bool()
