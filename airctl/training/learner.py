"""What is trained, and one step of it: the model, its estimator and one optimiser over both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from airctl.config import Config
from airctl.errors import NotFiniteError
from airctl.model import AIR
from airctl.objectives import Estimator, Surrogate, estimator, observe, terms_of
from airctl.training.randomness import derive, generator
from airctl.training.schedules import learning_rate_factor


@dataclass(frozen=True)
class Learner:
    """What is trained: the model, what its estimator learns, and one optimiser over both."""

    model: AIR
    estimator: Estimator
    modules: nn.ModuleDict  # all that a checkpoint holds
    optimizer: torch.optim.Optimizer

    @classmethod
    def build(cls, config: Config, device: torch.device) -> Learner:
        """Fresh weights, a function of the seed; one parameter group for each learning rate."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(config.train.seed, "weights"))
            model, chosen = AIR(config), estimator(config.objective.estimator, config)
        modules = nn.ModuleDict({"model": model, "estimator": chosen.modules}).to(device)
        groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "peak": config.optimiser.lr}]
        if learnt := list(chosen.modules.parameters()):
            groups.append({"params": learnt, "peak": config.optimiser.baseline_lr})
        return cls(model, chosen, modules, torch.optim.Adam(groups, fused=True))


def training_step(learner: Learner, config: Config, images: Tensor, step: int, slowdown: float = 1.0) -> Surrogate:
    """One step of Adam on ``images`` (uint8 [B, D, D]); raises ``NotFiniteError`` before it would spoil the weights."""
    device = images.device
    model, optimizer = learner.model, learner.optimizer
    factor = slowdown * learning_rate_factor(step, config.train.steps, config.optimiser)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    noise = generator(config.train.seed, "noise", step, device)
    objects = observe(model, images.float() / 255, learner.estimator, noise)
    terms = terms_of(objects, model.count(config.model.num_steps, step), model.likelihood)
    surrogate = learner.estimator(objects, terms, generator(config.train.seed, "estimator", step, device))
    optimizer.zero_grad(set_to_none=True)
    (surrogate.loss + surrogate.baseline_loss).backward()
    for name, value in {
        "log p(x | z)": terms.log_likelihood,
        "KL of z_where": objects.kl_where,
        "KL of z_what": objects.kl_what,
        "log q(n)": terms.log_q,
        "loss": surrogate.loss,
        "baseline's loss": surrogate.baseline_loss,
        "gradient": _clip(list(model.parameters()), config.optimiser.clip),
    }.items():
        if not torch.isfinite(value).all():
            raise NotFiniteError(f"the {name} is not finite at step {step}")
    optimizer.step()
    return surrogate


def _clip(parameters: list[nn.Parameter], most: float) -> Tensor:
    """Scale the gradients so that their common norm is at most ``most``; returns the norm that they had."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if most < math.inf:
        nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return norm
