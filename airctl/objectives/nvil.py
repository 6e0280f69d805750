"""NVIL: the score function with a neural baseline, a running centre and a running scale of the learning signal.

    advantage_i = (signal_i - baseline_i - c) / max(1, sqrt(v))
    gradient = grad f_n + sum_{i <= min(n+1, N)} advantage_i grad log q(z_i | z_<i)

c and v are running averages of the mean and the variance of signal - baseline over past batches. The centre leaves the
mean gradient alone. The scale does not: the part of it that goes through q(z_pres) becomes 1 / max(1, sqrt(v)) of the
ELBO's, in the same direction. So it is unbiased for the ELBO up to one positive factor on that part. One likelihood a
sample and a second LSTM. Mnih & Gregor 2014, sections 2.2, 2.3 and algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airctl.batch import whole
from airctl.objectives.baselines import Baseline
from airctl.objectives.score_function import ScoreFunction, per_step_signal
from airctl.objectives.terms import Terms, at


class RunningMoments(nn.Module):
    """Decaying mean and variance of all signals of past batches; in evaluation mode they stand still."""

    def __init__(self, decay: float = 0.8) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.zeros(()))
        self.mean: Tensor
        self.variance: Tensor

    @property
    def scale(self) -> Tensor:
        """max(1, standard deviation), []."""
        return self.variance.sqrt().clamp_min(1)

    @torch.no_grad()
    def observe(self, signal: Tensor, drawn: Tensor) -> None:
        """See ``signal`` [B, N] where ``drawn`` [B, N]."""
        if self.training:
            seen = whole(signal)[whole(drawn)]
            self.mean.lerp_(seen.mean(), 1 - self.decay)
            self.variance.lerp_(seen.var(correction=0), 1 - self.decay)


class NVIL(ScoreFunction):
    """The score function, its signal centred and scaled."""

    def __init__(self, baseline: Baseline) -> None:
        super().__init__(per_step_signal, baseline)
        self.moments = self.modules["moments"] = RunningMoments()

    def _each(self, terms: Terms, codewords: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        drawn, present = terms.code.decisions(codewords)
        log_q = torch.where(present, terms.log_present, terms.log_absent)
        signal = self.signal(terms, codewords).detach()
        baseline = self.baseline.given(read, present)
        centred = signal - self.moments.mean - baseline
        score = (drawn * centred.detach() / self.moments.scale * log_q).sum(1)
        error = (drawn * centred.square()).sum(1) / drawn.sum(1)  # [B] mean over the decisions drawn
        path = at(terms.log_likelihood - terms.kl, codewords)
        self.moments.observe(signal - baseline.detach(), drawn)
        return -(path + score), error
