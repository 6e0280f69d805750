"""The roll-out that an estimator asks for."""

from __future__ import annotations

from collections.abc import Callable

import torch

from airctl.config import Config
from airctl.model import AIR
from airctl.objectives import Exact, estimator, observe

Tiny = Callable[..., Config]


def test_copies_stand_one_after_the_other_with_noise_of_their_own(tiny_config: Tiny) -> None:
    """Scene b has the rows b K to (b + 1) K - 1: the same canvas, different z_where."""
    config = tiny_config("objective.samples=3")
    model, canvas = AIR(config), torch.rand(2, 12, 12)
    objects = observe(model, canvas, estimator("vimco", config), torch.Generator().manual_seed(0))
    assert torch.equal(objects.canvas, canvas[[0, 0, 0, 1, 1, 1]])
    first = objects.z_where[:3, 0]
    assert len(first.unique(dim=0)) == 3


def test_one_copy_is_the_models_own_roll_out(tiny_config: Tiny) -> None:
    """Bit for bit, so that runs of the other estimators are what they were."""
    model, canvas = AIR(tiny_config()), torch.rand(2, 12, 12)
    ours = observe(model, canvas, Exact(), torch.Generator().manual_seed(0))
    plain = model(canvas, model.noise(2, torch.Generator().manual_seed(0)))
    assert torch.equal(ours.pasted, plain.pasted)
    assert torch.equal(ours.logits, plain.logits)


def test_holding_the_samples_changes_no_number_and_leaves_no_trace(tiny_config: Tiny) -> None:
    """The same values, in the raw, the convolutional and the residual model; afterwards gradients pass again."""
    for kind in ("network.embedding=raw", "network.embedding=conv", "network.attention_input=residual"):
        model, canvas = AIR(tiny_config(kind)), torch.rand(2, 12, 12)
        noise = model.noise(2, torch.Generator().manual_seed(0))
        plain = model(canvas, noise)
        held = model(canvas, noise, held=True)
        again = model(canvas, noise)
        assert torch.equal(plain.pasted, held.pasted)
        assert torch.equal(plain.logits, held.logits)
        where = list(model.network.where.head.parameters())
        through = [torch.autograd.grad(r.logits.sum(), where, allow_unused=True)[0] for r in (plain, held, again)]
        assert through[0].any()
        assert through[1] is None
        assert torch.equal(through[0], through[2])


def test_copies_are_roll_outs_of_their_own(tiny_config: Tiny) -> None:
    """K of each scene at once, its canvas read once, are K roll-outs of repeated canvases: values and gradients."""
    for kind in ("network.embedding=raw", "network.embedding=conv", "network.attention_input=residual"):
        model, canvas = AIR(tiny_config(kind)).double(), torch.rand(2, 12, 12, dtype=torch.float64)
        noise = model.noise(6, torch.Generator().manual_seed(0))
        together, apart = model(canvas, noise), model(canvas.repeat_interleave(3, 0), noise)
        assert torch.allclose(together.logits, apart.logits)
        assert torch.allclose(together.pasted, apart.pasted)
        assert not torch.allclose(together.logits[0], together.logits[3]), "of another scene"
        weights = list(model.network.embedding.parameters()) + list(model.network.cell.parameters())
        ours, theirs = (
            torch.autograd.grad((r.logits * r.pasted.mean((2, 3))).sum(), weights) for r in (together, apart)
        )
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other)
