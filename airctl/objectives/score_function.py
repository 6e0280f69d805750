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

from airctl.model import Rollout
from airctl.objectives.baselines import Baseline
from airctl.objectives.terms import CountTerms, Estimator, Surrogate, at

Signal = Callable[[CountTerms, Tensor], Tensor]


def sample_counts(terms: CountTerms, generator: torch.Generator) -> Tensor:
    """n ~ q(n) for each scene, [B]."""
    return torch.multinomial(terms.log_q.detach().exp(), 1, generator=generator)[:, 0]


def decisions(counts: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Which z_pres_i were drawn, and which were drawn as 1, for counts [B] -> two masks [B, N]."""
    index = torch.arange(num_steps, device=counts.device)
    return index <= counts[:, None], index < counts[:, None]


def per_step_signal(terms: CountTerms, counts: Tensor) -> Tensor:
    """All that comes after decision i: the ELBO less what earlier steps have already paid, [B, N].

    log p and log q count from decision i on, given that it was reached.
    """
    reached = terms.log_p.flip(0).logcumsumexp(0).flip(0)[:-1]  # [N] log p(n >= i - 1)
    paid_q = terms.log_q_continue.cumsum(1) - terms.log_q_continue  # [B, N] log q of the earlier decisions
    return whole_signal(terms, counts) + terms.kl[:, :-1] - reached + paid_q


def whole_signal(terms: CountTerms, counts: Tensor) -> Tensor:
    """One reward for all decisions: the ELBO of the sampled count, [B, N]."""
    return at(terms.elbo_n, counts)[:, None].expand_as(terms.log_q_continue)


def likelihood_signal(terms: CountTerms, counts: Tensor) -> Tensor:
    """The report's reward: the log likelihood alone for all decisions, so that a needless step costs z_pres nothing."""
    return at(terms.log_likelihood, counts)[:, None].expand_as(terms.log_q_continue)


def no_signal(terms: CountTerms, counts: Tensor) -> Tensor:
    """Nothing for z_pres: only the path-wise gradient is left, Table 1's "backprop". Biased, as it teaches no count."""
    return torch.zeros_like(terms.log_q_continue)


class ScoreFunction(Estimator):
    """A sampled count, its path-wise gradient, and the score function for its decisions."""

    def __init__(self, signal: Signal, baseline: Baseline) -> None:
        self.signal, self.baseline = signal, baseline
        self.modules = nn.ModuleDict({"baseline": baseline})

    def __call__(self, rollout: Rollout, terms: CountTerms, generator: torch.Generator) -> Surrogate:
        return self.given(rollout, terms, sample_counts(terms, generator))

    def given(self, rollout: Rollout, terms: CountTerms, counts: Tensor) -> Surrogate:
        """The surrogate for sampled ``counts`` [B]."""
        loss, error = self._each(terms, counts, self.baseline.read(rollout))
        self.baseline.observe(self.signal(terms, counts).detach(), decisions(counts, rollout.logits.shape[1])[0])
        return Surrogate(loss.mean(), error.mean(), terms.elbo.detach())

    def expected(self, rollout: Rollout, terms: CountTerms) -> Surrogate:
        """The surrogate's mean over n ~ q(n), enumerated: its gradient has no noise from the count left."""
        q, read = terms.log_q.detach().exp(), self.baseline.read(rollout)
        every = [self._each(terms, torch.full_like(q[:, 0], n, dtype=torch.long), read) for n in range(q.shape[1])]
        loss, error = (torch.stack(parts, 1) for parts in zip(*every, strict=True))  # [B, N + 1] each
        return Surrogate((q * loss).sum(1).mean(), (q * error).sum(1).mean(), terms.elbo.detach())

    def _each(self, terms: CountTerms, counts: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and baseline's loss of each scene, [B]; ``read`` is what the baseline makes of the roll-out."""
        drawn, present = decisions(counts, read.shape[1])
        log_q = torch.where(present, terms.log_q_continue, terms.log_q_stop)
        signal = self.signal(terms, counts).detach()
        baseline = self.baseline.given(read, counts)
        score = (drawn * (signal - baseline.detach()) * log_q).sum(1)
        path = at(terms.log_likelihood - terms.kl, counts)
        error = (drawn * (signal - baseline).square()).sum(1) / drawn.sum(1)  # [B] mean over the decisions drawn
        return -(path + score), error
