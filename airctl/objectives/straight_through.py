"""Straight-through Gumbel: whole objects on the way forward, the Concrete relaxation of z_pres on the way back.

    soft_i = sigmoid((logit_i + l_i) / temperature),  l_i standard logistic,   b_i = 1 if logit_i + l_i > 0
    loss = -[ log p(x | sum_i m_i y_i) - sum_i m_i (kl_where_i + kl_what_i) - KL(q(n) || p(n)) ],   m_i = b_1 ... b_i
    gradient: that of the loss at b, with d b_i / d logit_i taken to be d soft_i / d logit_i

Objects are taught as by a sampled count, never on canvases with half an object. The decisions' gradient is biased for
the ELBO at any temperature, and unbiased for nothing: it is the slope of the likelihood at whole objects, where only
differences count. One likelihood a sample. Jang et al. 2017, section 2.2; Bengio et al. 2013.
"""

from __future__ import annotations

from torch import Tensor

from airctl.objectives.concrete import Concrete


class StraightThrough(Concrete):
    """A sampled count whose decisions have the gradient of their relaxation."""

    def decisions(self, decided: Tensor) -> Tensor:
        soft = super().decisions(decided)
        return (decided > 0).to(soft) + soft - soft.detach()  # b, with the gradient of soft
