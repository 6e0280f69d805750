"""p(x, z) and q(z | x) of Attend, Infer, Repeat as modules: no losses, no paths."""

from airctl.model.air import AIR, NETWORKS, require_known
from airctl.model.attention import boxes, crop, paste
from airctl.model.codes import Code, Unary
from airctl.model.count_priors import COUNT_PRIORS, CountPrior, Geometric, truncated_geometric
from airctl.model.decoders import DECODERS
from airctl.model.embeddings import EMBEDDINGS
from airctl.model.encoders import ENCODERS
from airctl.model.likelihoods import LIKELIHOODS, Gaussian, Likelihood
from airctl.model.objects import Latents, Noise, Objects
from airctl.model.placed import DenseLayers, Layers
from airctl.model.poses import InPixels, Poses, Relative
from airctl.model.posteriors import POSTERIORS, Diagonal, Posterior
from airctl.model.proposals import Map, Proposals
from airctl.model.recurrent import Recurrent
from airctl.model.subsets import Subsets

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
    "DenseLayers",
    "Diagonal",
    "Gaussian",
    "Geometric",
    "InPixels",
    "Latents",
    "Layers",
    "Likelihood",
    "Map",
    "Noise",
    "Objects",
    "Poses",
    "Posterior",
    "Proposals",
    "Recurrent",
    "Relative",
    "Subsets",
    "Unary",
    "boxes",
    "crop",
    "paste",
    "require_known",
    "truncated_geometric",
]
