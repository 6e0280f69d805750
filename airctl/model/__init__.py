"""p(x, z) and q(z | x) of Attend, Infer, Repeat as modules: no losses, no paths."""

from airctl.model.air import AIR, NETWORKS
from airctl.model.attention import boxes, crop, paste
from airctl.model.codes import Code, Unary
from airctl.model.decoders import DECODERS
from airctl.model.embeddings import EMBEDDINGS
from airctl.model.encoders import ENCODERS
from airctl.model.likelihoods import LIKELIHOODS, Gaussian, Likelihood
from airctl.model.objects import Latents, Noise, Objects
from airctl.model.posteriors import POSTERIORS, Diagonal, Posterior
from airctl.model.priors import COUNT_PRIORS, CountPrior, Geometric, truncated_geometric

__all__ = [
    "AIR",
    "COUNT_PRIORS",
    "DECODERS",
    "EMBEDDINGS",
    "ENCODERS",
    "LIKELIHOODS",
    "NETWORKS",
    "POSTERIORS",
    "Code",
    "CountPrior",
    "Diagonal",
    "Gaussian",
    "Geometric",
    "Latents",
    "Likelihood",
    "Noise",
    "Objects",
    "Posterior",
    "Unary",
    "boxes",
    "crop",
    "paste",
    "truncated_geometric",
]
