"""The measure-valued derivative of z_pres: what the ELBO would have been with this decision the other way.

    gradient = grad f_n + sum_{i <= min(n+1, N)} grad p_i [ f(n_i) - f(i - 1) ],   p_i = q(z_i = 1 | z_<i)

The derivative of a Bernoulli's expectation is that of p times the difference of its two outcomes. For the unary code
z_i = 0 leaves the count i - 1, and z_i = 1 a count n_i ~ q(n | n >= i): the sampled n itself where z_i was 1, and one
more draw for the decision that stopped. As both outcomes of each decision are taken, this is at once the local
expectation gradient of Titsias & Lazaro-Gredilla 2015, section 3. Unbiased for the ELBO, without a baseline. In general
it needs two likelihoods for each decision; here the roll-out has them all. Pflug 1989; Mohamed et al. 2020, section 6.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from airctl.batch import categories
from airctl.model import Objects
from airctl.objectives.score_function import sample_codewords
from airctl.objectives.terms import Estimator, Surrogate, Terms, at


class MeasureValued(Estimator):
    """A sampled count, and for each of its decisions both outcomes."""

    def __init__(self) -> None:
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        codewords = sample_codewords(terms, generator)
        q = terms.code.beyond(terms.log_q, codewords)
        return self.given(objects, terms, codewords, categories(q, 1, generator)[:, 0])

    def given(self, objects: Objects, terms: Terms, codewords: Tensor, further: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B], and ``further`` [B] had the decision that stopped gone on."""
        loss = self._each(objects, terms, codewords, further).mean()
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())

    def expected(self, objects: Objects, terms: Terms) -> Surrogate:
        """The surrogate's mean over n ~ q(n) and what would have come after it, enumerated."""
        loss, index = terms.elbo.new_zeros(()), range(terms.log_q.shape[1])
        q = terms.log_q.detach().exp()
        every = [torch.full_like(q[:, 0], n, dtype=torch.long) for n in index]
        for n in index:
            onward = q[:, n, None] * terms.code.beyond(terms.log_q, every[n])  # [B, N + 1] of both draws together
            for m in index:
                loss = loss + (onward[:, m] * self._each(objects, terms, every[n], every[m])).mean()
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())

    def _each(self, objects: Objects, terms: Terms, codewords: Tensor, further: Tensor) -> Tensor:
        """The loss of each scene, [B]."""
        drawn = terms.code.decisions(codewords)[0]
        continued, stopped = terms.code.outcomes(terms.bracket.detach(), codewords, further)  # [B, M]
        score = (drawn * (continued - stopped) * terms.log_present.exp()).sum(1)
        return -(at(terms.log_likelihood - terms.kl, codewords) + score)
