"""Attend, Infer, Repeat in Pyro, as a Pyro user would write it: the other side of ``against_pyro``.

The same model as airctl's preset ``paper``: the same network sizes and initial biases, priors, likelihood and learning
rates, the score function for z_pres with a neural baseline that reads the scene and the latents so far (detached), and
per-step credit, which ``TraceGraph_ELBO`` finds from the graph. What differs is the engine, and what comes with it:

- z_pres is sampled step by step and later sites are masked by it; airctl feeds 1 back and sums or samples the count;
- KLs are estimated from the sample that was drawn, as in every ``TraceGraph_ELBO``; airctl has them in closed form;
- the canvas goes into the LSTM at every step; attention is ``affine_grid`` and ``grid_sample``;
- Pyro makes one optimiser for each parameter.

B scenes a batch, N steps, D canvas side, G glimpse side, C numbers in z_what.
"""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import torch
import torch.nn.functional as F
from pyro.infer import SVI, TraceGraph_ELBO
from pyro.optim import Adam
from torch import Tensor, nn

from airctl.config import Config


def transform(images: Tensor, scale: Tensor, shift: Tensor, side: int) -> Tensor:
    """Sample ``images`` [B, d, d] at scale * u + shift for the u of a grid of ``side`` pixels -> [B, side, side]."""
    theta = images.new_zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [len(images), 1, side, side], align_corners=False)
    return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def positive(raw: Tensor, start: float) -> Tensor:
    """A standard deviation that is ``start`` where ``raw`` is 0."""
    return F.softplus(raw + math.log(math.expm1(start))) + 1e-4


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer with ReLU."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Guide(nn.Module):
    """The networks of q(z | x): LSTM, heads of z_where and z_pres, glimpse encoder."""

    def __init__(self, config: Config, latents: int) -> None:
        super().__init__()
        sizes = config.model
        self.rnn = nn.LSTMCell(sizes.canvas**2 + latents, config.network.hidden)
        self.predict = mlp(config.network.hidden, config.network.predict_hidden, 3 + 3 + 1)
        self.encoder = mlp(sizes.glimpse**2, sizes.glimpse_hidden, 2 * sizes.what)


class Baseline(nn.Module):
    """A second LSTM over the same inputs, detached, and its prediction of what is still to come."""

    def __init__(self, config: Config, latents: int) -> None:
        super().__init__()
        self.rnn = nn.LSTMCell(config.model.canvas**2 + latents, config.objective.baseline_hidden)
        self.head = nn.Linear(config.objective.baseline_hidden, 1)


class PyroAIR(nn.Module):
    """Model and guide, each with the sites z_pres_i, z_where_i, z_what_i for i < N."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.sizes = config, config.model
        latents = 3 + self.sizes.what + 1
        self.decoder = mlp(self.sizes.what, self.sizes.glimpse_hidden, self.sizes.glimpse**2)
        self.networks = Guide(config, latents)
        self.baseline = Baseline(config, latents)
        self.where_loc = torch.tensor(config.prior.where_loc)
        self.where_scale = torch.tensor(config.prior.where_scale)

    def model(self, x: Tensor, continuing: float) -> None:
        """p(x, z) for scenes ``x`` [B, D, D]; p(n) is proportional to ``continuing`` ** n."""
        pyro.module("decoder", self.decoder)
        sizes, glimpse = self.sizes, (-1, self.sizes.glimpse, self.sizes.glimpse)
        tails = (continuing ** torch.arange(sizes.num_steps + 1.0)).flip(0).cumsum(0).flip(0)
        with pyro.plate("data", len(x)):
            canvas, present = torch.zeros_like(x), x.new_ones(len(x))
            for i in range(sizes.num_steps):
                another = (tails[i + 1] / tails[i]).expand(len(x))  # p(z_pres_i = 1 | all earlier ones are 1)
                drawn = pyro.sample(f"z_pres_{i}", dist.Bernoulli(another).mask(present > 0))
                present = present * drawn
                where = dist.Normal(self.where_loc, self.where_scale).expand([len(x), 3]).to_event(1)
                z_where = pyro.sample(f"z_where_{i}", where.mask(present > 0))
                what = dist.Normal(x.new_zeros(len(x), sizes.what), 1.0).to_event(1)
                z_what = pyro.sample(f"z_what_{i}", what.mask(present > 0))
                y = torch.sigmoid(self.decoder(z_what) + sizes.decoder_bias).view(glimpse)
                pasted = transform(y, z_where[:, 0], -z_where[:, 1:], sizes.canvas)
                canvas = canvas + present[:, None, None] * pasted
            pyro.sample("x", dist.Normal(canvas, self.config.likelihood.sd).to_event(2), obs=x)

    def guide(self, x: Tensor, continuing: float) -> None:
        """q(z | x), with a baseline for each z_pres_i where the step is reached."""
        pyro.module("networks", self.networks)
        pyro.module("baseline", self.baseline)
        sizes, nets, pixels = self.sizes, self.networks, x.flatten(1)
        with pyro.plate("data", len(x)):
            z_where, z_what = x.new_zeros(len(x), 3), x.new_zeros(len(x), sizes.what)
            present = x.new_ones(len(x))
            state, baseline_state = None, None
            for i in range(sizes.num_steps):
                inputs = torch.cat([pixels, z_where, z_what, present[:, None]], 1)
                state = nets.rnn(inputs, state)
                baseline_state = self.baseline.rnn(inputs.detach(), baseline_state)
                expected = self.baseline.head(baseline_state[0])[:, 0] * present

                loc, raw, logit = nets.predict(state[0]).split([3, 3, 1], 1)
                q_pres = dist.Bernoulli(logits=logit[:, 0] + self.config.network.present_bias).mask(present > 0)
                infer = {"baseline": {"baseline_value": expected}}
                present = present * pyro.sample(f"z_pres_{i}", q_pres, infer=infer)

                q_where = dist.Normal(self.where_loc + loc, positive(raw, 0.1)).to_event(1).mask(present > 0)
                z_where = pyro.sample(f"z_where_{i}", q_where)
                scale, centre = z_where[:, 0], z_where[:, 1:]
                x_att = transform(x, 1 / scale, centre / scale[:, None], sizes.glimpse)
                loc, raw = nets.encoder(x_att.flatten(1)).chunk(2, 1)
                q_what = dist.Normal(loc, positive(raw, 1.0)).to_event(1).mask(present > 0)
                z_what = pyro.sample(f"z_what_{i}", q_what)


def make_svi(air: PyroAIR, fused: bool = False) -> SVI:
    """SVI with Adam, whose learning rate is the baseline's own for the baseline's parameters.

    ``svi.step`` returns the negative ELBO summed over the batch. ``fused`` asks for torch's fused Adam, which is not
    what Pyro does by itself.
    """
    optimiser = air.config.optimiser

    def adam(name: str) -> dict[str, object]:
        lr = optimiser.baseline_lr if name.startswith("baseline") else optimiser.lr
        return {"lr": lr, "fused": True} if fused else {"lr": lr}

    return SVI(air.model, air.guide, Adam(adam), loss=TraceGraph_ELBO())
