"""p(x, z) and q(z | x) of Attend, Infer, Repeat as modules: no losses, no paths, no flags."""

from airctl.model.air import AIR, Noise, Rollout
from airctl.model.attention import boxes, crop, paste
from airctl.model.priors import continuing_at, truncated_geometric

__all__ = ["AIR", "Noise", "Rollout", "boxes", "continuing_at", "crop", "paste", "truncated_geometric"]
