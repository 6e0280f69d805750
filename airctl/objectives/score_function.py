"""The score function (REINFORCE) for z_pres, with a learning signal and a baseline handed in.

    n ~ q(n),   z_i = 1 for i <= n, z_{n+1} = 0
    gradient = grad f_n + sum_{i <= min(n+1, N)} (signal_i - baseline_i) grad log q(z_i | z_<i)

with f_n = log p(x | canvas_n) - kl_n (the path-wise part: z_where and z_what are reparameterised). The term
-grad log q(n) of the ELBO has expectation zero and is left out. Unbiased for the ELBO if the signal has all that comes
after decision i and the baseline nothing that depends on it. One likelihood a sample; Eslami et al. 2016, section 2.2,
after Williams 1992 and Mnih & Gregor 2014.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from airctl.batch import categories
from airctl.model import Objects
from airctl.objectives.baselines import Baseline
from airctl.objectives.terms import Estimator, Surrogate, Terms, at

Signal = Callable[[Terms, Tensor], Tensor]


def sample_codewords(terms: Terms, generator: torch.Generator) -> Tensor:
    """A codeword ~ q for each scene, [B]."""
    return categories(terms.log_q.detach().exp(), 1, generator)[:, 0]


def per_step_signal(terms: Terms, codewords: Tensor) -> Tensor:
    """The ELBO of the sampled codeword less what of it no decision i can change, [B, M]: ``Code.credit``."""
    whole = whole_signal(terms, codewords)
    return terms.code.credit(whole, terms.kl, terms.log_p, terms.log_present, terms.log_absent, codewords)


def whole_signal(terms: Terms, codewords: Tensor) -> Tensor:
    """One reward for all decisions: the ELBO of the sampled count, [B, N]."""
    return at(terms.bracket, codewords)[:, None].expand_as(terms.log_present)


def no_signal(terms: Terms, codewords: Tensor) -> Tensor:
    """Nothing for z_pres: only the path-wise gradient is left, Table 1's "backprop". Biased, as it teaches no count."""
    return torch.zeros_like(terms.log_present)


class ScoreFunction(Estimator):
    """A sampled count, its path-wise gradient, and the score function for its decisions."""

    def __init__(self, signal: Signal, baseline: Baseline) -> None:
        self.signal, self.baseline = signal, baseline
        self.modules = nn.ModuleDict({"baseline": baseline})

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.given(objects, terms, sample_codewords(terms, generator))

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B]."""
        loss, error = self._each(terms, codewords, self.baseline.read(objects))
        self.baseline.observe(self.signal(terms, codewords).detach(), terms.code.decisions(codewords)[0])
        return Surrogate(loss.mean(), error.mean(), terms.elbo.detach())

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        """The surrogate's mean over n ~ q(n), enumerated: its gradient has no noise from the count left."""
        q, read = terms.log_q.detach().exp(), self.baseline.read(objects)
        every = [self._each(terms, torch.full_like(q[:, 0], n, dtype=torch.long), read) for n in range(q.shape[1])]
        loss, error = (torch.stack(parts, 1) for parts in zip(*every, strict=True))  # [B, N + 1] each
        return Surrogate((q * loss).sum(1).mean(), (q * error).sum(1).mean(), terms.elbo.detach())

    def _each(self, terms: Terms, codewords: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and baseline's loss of each scene, [B]; ``read`` is what the baseline makes of the roll-out."""
        drawn, present = terms.code.decisions(codewords)
        log_q = torch.where(present, terms.log_present, terms.log_absent)
        signal = self.signal(terms, codewords).detach()
        baseline = self.baseline.given(read, present)
        score = (drawn * (signal - baseline.detach()) * log_q).sum(1)
        path = at(terms.log_likelihood - terms.kl, codewords)
        error = (drawn * (signal - baseline).square()).sum(1) / drawn.sum(1)  # [B] mean over the decisions drawn
        return -(path + score), error
