"""Attend, Infer, Repeat: p(x, z) and q(z | x) in one module. It knows of no loss and no estimator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from airctl.config import Config, lookup
from airctl.errors import ConfigError
from airctl.model.count_priors import COUNT_PRIORS
from airctl.model.decoders import DECODERS
from airctl.model.embeddings import EMBEDDINGS
from airctl.model.encoders import ENCODERS
from airctl.model.flows import require_zuko
from airctl.model.likelihoods import LIKELIHOODS, Gaussian
from airctl.model.objects import Noise, Objects
from airctl.model.placed import Layers
from airctl.model.poses import InPixels, Poses, Relative
from airctl.model.posteriors import PLAIN, POSTERIORS, Posterior, kl
from airctl.model.priors import WhatPrior
from airctl.model.proposals import SPREAD, TIGHT, Proposals
from airctl.model.recurrent import ATTENTION_INPUTS, Recurrent
from airctl.model.subsets import require_drawn

NETWORKS: dict[str, Callable[[Config, Poses], Recurrent | Proposals]] = {
    "recurrent": Recurrent,
    "proposals": Proposals,
}
POSES: dict[str, Callable[[Config], Poses]] = {
    "recurrent": lambda config: Relative(config.prior),
    "proposals": lambda config: InPixels(config.model.object_size, TIGHT, SPREAD),
}


class AIR(nn.Module):
    """The priors, the decoder and the likelihood; the inference network, the glimpse encoder and q(z_what | x_att)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = config.model
        self.config = config
        self.poses = lookup(POSES, "network.kind", config.network.kind)(config)
        self.prior = WhatPrior(sizes.what)
        self.count = lookup(COUNT_PRIORS, "count.kind", config.count.kind)(config)
        self.likelihood = lookup(LIKELIHOODS, "likelihood.kind", config.likelihood.kind)(config)
        self.decoder = lookup(DECODERS, "model.decoder", sizes.decoder)(config)
        self.network = lookup(NETWORKS, "network.kind", config.network.kind)(config, self.poses)
        self.encoder = lookup(ENCODERS, "model.encoder", sizes.encoder)(config)
        posterior = lookup(POSTERIORS, "posterior.what", config.posterior.what)
        self.what: Posterior = posterior(
            self.encoder.size, sizes.what, PLAIN if config.network.start == "plain" else 1.0
        )

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.prior.loc.device

    @property
    def reading_size(self) -> int:
        """M when counting."""
        return self.network.reading_size

    def noise(self, batch: int, generator: torch.Generator, objects: int | None = None) -> Noise:
        """Fresh noise for a pass over ``batch`` scenes that proposes ``objects`` each."""
        sizes = self.config.model
        return Noise.draw(batch, objects or sizes.num_steps, sizes.what, generator)

    def mean_noise(self, batch: int, objects: int | None = None) -> Noise:
        """The noise that puts z_where and z_what at their posterior means; M as when counting."""
        objects, zeros = objects or self.reading_size, self.prior.loc.new_zeros
        return Noise(zeros(batch, objects, 3), zeros(batch, objects, self.config.model.what))

    def forward(self, canvas: Tensor, noise: Noise, held: bool = False) -> Objects:
        """The objects that the network proposes for scenes ``canvas`` [B, H, W], pixels in [0, 1].

        As many as ``noise`` has; noise for J B passes gives J of each scene, those of scene b in the rows b J to
        (b + 1) J - 1. With ``held`` what a network reads of a sample is a constant to it: gradients do not pass through
        the samples of z_where and z_what into the networks.
        """
        again = partial(self, canvas, noise, True)
        canvas, latents = self.network(canvas, noise, self, held)
        drawn, layers = self.draw(latents.z_where, latents.z_what.detach() if held else latents.z_what, canvas)
        p_where, p_what = self.poses.prior(canvas), self.prior()
        return Objects(
            **vars(latents),
            canvas=canvas,
            poses=self.poses,
            code=self.network.code(latents.logits.shape[1]),
            p_where=p_where,
            p_what=p_what,
            kl_where=kl(latents.q_where, p_where, latents.z_where),
            kl_what=kl(latents.q_what, p_what, latents.z_what),
            drawn=drawn,
            layers=layers,
            again=again,
        )

    def look(self, canvas: Tensor, z_where: Tensor, held: bool = False) -> tuple[Tensor, Distribution]:
        """The glimpses x_att [B, (M,) G, G] at ``z_where`` [B, (M,) 3], and q(z_what | x_att)."""
        glimpse = self.poses.crop(canvas, z_where, self.config.model.glimpse)
        return glimpse, self.what(self.encoder(glimpse.detach() if held else glimpse))

    def draw(self, z_where: Tensor, z_what: Tensor, canvas: Tensor) -> tuple[Tensor, Layers]:
        """All objects of ``z_what`` [B, M, C] drawn [B, M, G, G], and pasted on canvases of the size of ``canvas``."""
        drawn = self.decoder(z_what)
        return drawn, self.poses.paste(drawn, z_where, canvas)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The generative theta, the inference network's phi without its head of z_pres, and that head.

        What a score function gets wrong reaches the model through the logits of z_pres alone. In the few parameters of
        that head it stands out; among all parameters it can drown.
        """
        generative = (self.poses, self.prior, self.count, self.likelihood, self.decoder)
        theta = [parameter for module in generative for parameter in module.parameters()]
        head = self.network.presence_parameters()
        apart = {*theta, *head}
        return {"theta": theta, "phi": [p for p in self.parameters() if p not in apart], "z_pres": head}


def require_known(config: Config) -> None:
    """Raise ``ConfigError``, with the nearest name there is, for a part of the model that no registry has.

    And for parts that cannot be together, so that it is said before a training and not at its end.
    """
    lookup(NETWORKS, "network.kind", config.network.kind)
    lookup(EMBEDDINGS, "network.embedding", config.network.embedding)
    lookup(ATTENTION_INPUTS, "network.attention_input", config.network.attention_input)
    lookup(COUNT_PRIORS, "count.kind", config.count.kind)
    likelihood = lookup(LIKELIHOODS, "likelihood.kind", config.likelihood.kind)(config)
    if config.network.kind == "proposals" and not isinstance(likelihood, Gaussian):
        require_drawn(config.model.num_steps + config.network.dense)
    lookup(POSTERIORS, "posterior.where", config.posterior.where)
    lookup(POSTERIORS, "posterior.what", config.posterior.what)
    if config.network.kind == "proposals" and config.posterior.where != "diagonal":
        raise ConfigError(
            f"posterior.where={config.posterior.where}: expected diagonal, as the poses of network.kind=proposals are; "
            "posterior.what is free"
        )
    if {config.posterior.where, config.posterior.what} & {"maf", "nsf"}:
        require_zuko()
    lookup(ENCODERS, "model.encoder", config.model.encoder)
    lookup(DECODERS, "model.decoder", config.model.decoder)
