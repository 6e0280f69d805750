"""RELAX: REBAR's control variate with a free part that is learnt, a small network of the relaxed decisions.

    c(u) = the relaxed ELBO at sigmoid(u / temperature) + r(sigmoid(u))
    gradient of the logits = [f(n(b)) - eta c(u~)] grad log q(b) + eta grad c(u) - eta grad c(u~)

with b, u, u~ and eta as in ``rebar``. In expectation the terms with eta cancel whatever r is, so it is unbiased for the
ELBO. r is learnt along with eta and the temperature by descending the square of that gradient; it starts at 0, where
this is REBAR. r reads the decisions and not the scene, which is ours: it keeps the cost that of REBAR. Grathwohl et al.
2018, sections 3.2 and 3.3.
"""

from __future__ import annotations

from torch import Tensor, nn

from airctl.model import Objects
from airctl.model.networks import mlp
from airctl.objectives.rebar import Rebar
from airctl.objectives.terms import Terms


class Relax(Rebar):
    """REBAR with ``hidden`` units of its own in the control variate, for ``size`` decisions, M."""

    def __init__(self, temperature: float, size: int, hidden: int = 16) -> None:
        super().__init__(temperature)
        self.free = self.modules["free"] = mlp(size, hidden, 1)
        for parameter in self.free[-1].parameters():
            nn.init.zeros_(parameter)

    def relaxed(self, objects: Objects, terms: Terms, decided: Tensor) -> Tensor:
        """c(u) for ``decided`` u [B, M] -> [B], nats."""
        free: Tensor = self.free(decided.sigmoid())[:, 0]
        return super().relaxed(objects, terms, decided) + free
