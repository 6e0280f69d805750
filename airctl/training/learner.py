"""What is trained, and one step of it: the model, its estimator and the optimisers of both."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from airctl.batch import sharing, whole
from airctl.config import Config, OptimiserConfig
from airctl.errors import NotFiniteError
from airctl.group import ALONE, Group
from airctl.model import AIR
from airctl.objectives import CutAndPaste, Estimator, Labelled, Labels, Surrogate, estimator, observe, terms_of
from airctl.training.gradients import add_gradients
from airctl.training.learning_rate import learning_rate_factor
from airctl.training.memory import room_to_train
from airctl.training.randomness import derive, generator


@dataclass(frozen=True)
class Learner:
    """What is trained: the model, what its estimator learns, and the optimisers of both."""

    model: AIR
    estimator: Estimator
    modules: nn.ModuleDict  # all that a checkpoint holds
    optimizers: tuple[torch.optim.Optimizer, ...]
    teacher: CutAndPaste | None = None  # lessons that the model makes for itself

    @classmethod
    def build(cls, config: Config, device: torch.device) -> Learner:
        """Fresh weights, a function of the seed; one parameter group for each learning rate.

        ``ConfigError`` for a config that asks for more memory than there is.
        """
        with torch.random.fork_rng(devices=[]), room_to_train():
            torch.manual_seed(derive(config.train.seed, "weights"))
            model, chosen = AIR(config), estimator(config.objective.estimator, config)
        modules = nn.ModuleDict({"model": model, "estimator": chosen.modules}).to(device)
        paste = config.objective
        teacher = CutAndPaste(paste.paste, paste.paste_near, paste.paste_tries) if paste.paste else None
        return cls(model, chosen, modules, optimizers_of(model, chosen.modules, config.optimiser), teacher)

    def held(self, state: Mapping[str, Any]) -> bytes:
        """Weights, what the optimisers keep, and ``state``, for the ``take`` of another process."""
        stream = io.BytesIO()
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        torch.save([self.modules.state_dict(), optimizers, dict(state)], stream)
        return stream.getvalue()

    def take(self, held: bytes) -> dict[str, Any]:
        """Be what another learner of the same config ``held``; returns the state."""
        device = next(self.modules.parameters()).device
        modules, optimizers, state = torch.load(io.BytesIO(held), map_location=device, weights_only=True)
        self.modules.load_state_dict(modules)
        for optimizer, kept in zip(self.optimizers, optimizers, strict=True):
            optimizer.load_state_dict(kept)
        return dict(state)


def optimizers_of(model: AIR, estimator: nn.Module, settings: OptimiserConfig) -> tuple[torch.optim.Optimizer, ...]:
    """Adam for all, or for all but the matrices of glimpse encoder and decoder, which are then Muon's.

    Muon is that of Jordan et al. 2024, with three Newton-Schulz steps a step.
    """
    matrices = [p for module in (model.encoder, model.decoder) for p in module.parameters() if p.dim() == 2]
    apart = set(matrices) if settings.muon else set()
    groups: list[dict[str, Any]] = [{"params": [p for p in model.parameters() if p not in apart], "peak": settings.lr}]
    if learnt := list(estimator.parameters()):
        groups.append({"params": learnt, "peak": settings.baseline_lr})
    adam = torch.optim.Adam(groups, fused=True)
    if not apart:
        return (adam,)
    muon = torch.optim.Muon(
        [{"params": matrices, "peak": settings.muon}], weight_decay=0.0, adjust_lr_fn="match_rms_adamw", ns_steps=3
    )
    return adam, muon


def training_step(
    learner: Learner,
    config: Config,
    images: Tensor,
    step: int,
    slowdown: float = 1.0,
    labels: Labels | None = None,
    group: Group = ALONE,
) -> Surrogate:
    """One step on ``images`` (uint8 [B, D, D]); raises ``NotFiniteError`` before it would spoil the weights.

    ``labels`` is what is known of these scenes, if anything is. Of several processes each has its rows of a batch of
    ``config.train.batch`` scenes, and all make the step that one process makes on all of them; the ELBO that comes back
    is that of all.
    """
    with sharing(group, config.train.batch):
        return _step(learner, config, images, step, slowdown, labels, group)


def _step(
    learner: Learner, config: Config, images: Tensor, step: int, slowdown: float, labels: Labels | None, group: Group
) -> Surrogate:
    device = images.device
    model = learner.model
    factor = slowdown * learning_rate_factor(step, config.train.steps, config.optimiser)
    for part in [part for optimizer in learner.optimizers for part in optimizer.param_groups]:
        part["lr"] = part["peak"] * factor
    noise = generator(config.train.seed, "noise", step, device)
    objects = observe(model, images.to(model.prior.loc.dtype) / 255, learner.estimator, noise, step)
    terms = terms_of(objects, model.count(config.model.num_steps, step), model.likelihood)
    told = terms.log_q.new_zeros(())
    if labels is not None:
        terms, told = Labelled(config.objective.label_weight)(model, objects, terms, labels)
    surrogate = learner.estimator(objects, terms, generator(config.train.seed, "estimator", step, device))
    share = len(images) / config.train.batch if group.size > 1 else 1.0  # of the mean over all scenes
    loss = (surrogate.loss + surrogate.baseline_loss + told) * share
    if learner.teacher is not None and _has_a_lesson(config, step):
        loss = loss + learner.teacher(model, objects, terms, generator(config.train.seed, "lessons", step, device))
    for optimizer in learner.optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    values = {
        "log p(x | z)": terms.log_likelihood,
        "KL of z_where": objects.kl_where,
        "KL of z_what": objects.kl_what,
        "log q(n)": terms.log_q,
        "loss": surrogate.loss,
        "loss of the labels": told,
        "baseline's loss": surrogate.baseline_loss,
    }
    wrong = torch.stack([~torch.isfinite(value).all() for value in values.values()])
    wrong = add_gradients(group, list(learner.modules.parameters()), wrong)
    norm = _clip(list(model.parameters()), config.optimiser.clip)
    wrong = torch.cat([wrong, ~torch.isfinite(norm)[None]])
    for name, is_wrong in zip([*values, "gradient"], wrong.tolist(), strict=True):
        if is_wrong:
            raise NotFiniteError(f"the {name} is not finite at step {step}")
    for optimizer in learner.optimizers:
        optimizer.step()
    return replace(surrogate, elbo=whole(surrogate.elbo))


def _has_a_lesson(config: Config, step: int) -> bool:
    settings = config.objective
    return step >= min(settings.paste_from, config.train.steps // 4) and step % settings.paste_every == 0


def _clip(parameters: list[nn.Parameter], most: float) -> Tensor:
    """Scale the gradients so that their common norm is at most ``most``; returns the norm that they had."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if most < math.inf:
        nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return norm
