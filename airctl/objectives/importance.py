"""Importance weights of a roll-out, for the estimators that take several roll-outs of each scene."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from airctl.model import Objects
from airctl.objectives.score_function import sample_codewords
from airctl.objectives.terms import Estimator, Surrogate, Terms


class ImportanceWeighted(Estimator):
    """An estimator that weighs K = ``copies`` roll-outs of each scene, each with a sampled count."""

    def __init__(self, copies: int) -> None:
        self.copies = copies
        self.modules = nn.ModuleDict()

    def __call__(self, objects: Objects, terms: Terms, generator: torch.Generator) -> Surrogate:
        return self.given(objects, terms, sample_codewords(terms, generator))

    @abstractmethod
    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        """The surrogate for sampled ``codewords`` [B K]."""


def log_posterior(objects: Objects) -> Tensor:
    """log q(z_where_i, z_what_i | x, ...) at the objects' own samples, [B, M]."""
    where: Tensor = objects.q_where.log_prob(objects.z_where)
    what: Tensor = objects.q_what.log_prob(objects.z_what)
    return where + what


def log_prior(objects: Objects) -> Tensor:
    """log p(z_where_i, z_what_i) at the same samples, [B, M]."""
    where: Tensor = objects.p_where.log_prob(objects.z_where)
    what: Tensor = objects.p_what.log_prob(objects.z_what)
    return where + what


def log_weights(objects: Objects, terms: Terms) -> Tensor:
    """log p(x, z, k) - log q(z, k | x) for each codeword k at the sampled z_where and z_what of its objects.

    [B, K] in nats. The ELBO's bracket has the KL in closed form instead; a bound over several samples cannot.
    """
    ratio = terms.code.sums(log_prior(objects) - log_posterior(objects))
    return terms.log_likelihood + ratio + terms.log_p - terms.log_q


def held(objects: Objects) -> Objects:
    """The same objects, with their samples as constants: a likelihood then teaches the decoder alone."""
    z_where, z_what = objects.z_where.detach(), objects.z_what.detach()
    return replace(
        objects, z_where=z_where, z_what=z_what, layers=objects.poses.paste(objects.drawn, z_where, objects.canvas)
    )


def fixed(objects: Objects) -> Objects:
    """The same objects at their samples as constants, whichever network reads or draws them: a pass of its own.

    A function of the objects less the same of these is 0, with the gradient that goes through the samples alone.
    """
    if objects.again is None:
        raise ValueError("objects that no model made: expected those of a pass, which can be made again")
    return held(objects.again())


def fixed_terms(objects: Objects, terms: Terms) -> Terms:
    """The ``terms`` of ``fixed`` objects."""
    log_likelihood = terms.likelihood.codewords(objects.canvas, objects.layers, objects.code)
    kl = objects.code.sums(objects.kl_where + objects.kl_what)
    return Terms.of(objects.code, log_likelihood, kl, objects.logits, terms.log_p, terms.likelihood)
