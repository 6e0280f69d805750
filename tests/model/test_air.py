"""The roll-out against the definitions of its parts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from airctl.config import Config
from airctl.model import AIR, Objects, crop, paste
from airctl.model.embeddings import EMBEDDINGS
from airctl.model.networks import Cell
from airctl.model.posteriors import loc_and_sd, normal, positive

KINDS = ["network.embedding=raw", "network.embedding=conv", "network.attention_input=residual"]
Tiny = Callable[..., Config]


def build(config: Config) -> AIR:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return AIR(config).double()


def scenes(batch: int, canvas: int = 12) -> Tensor:
    return torch.rand(batch, canvas, canvas, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def noise_of(model: AIR, batch: int, num_steps: int | None = None, seed: int = 3):
    drawn = model.noise(batch, torch.Generator().manual_seed(seed), num_steps)
    return type(drawn)(drawn.where.double(), drawn.what.double())


def roll(model: AIR, batch: int = 2) -> Objects:
    return model(scenes(batch), noise_of(model, batch))


def test_cell_is_torchs_lstm_cell() -> None:
    """With the weights copied, Cell's first step and three more are LSTMCell's, whose first own input is zero."""
    torch.manual_seed(0)
    ours, theirs = Cell(5, 4, 6).double(), nn.LSTMCell(5 + 4, 6).double()
    with torch.no_grad():
        ours.constant_weight.copy_(theirs.weight_ih[:, :5].t())
        ours.constant_bias.copy_(theirs.bias_ih + theirs.bias_hh)
        ours.recurrent.weight.copy_(torch.cat([theirs.weight_ih[:, 5:], theirs.weight_hh], 1))
    constant, steps = torch.randn(3, 5).double(), torch.randn(3, 3, 4).double()
    state = ours.first(ours.constant(constant))
    reference = theirs(torch.cat([constant, torch.zeros(3, 4).double()], 1))
    torch.testing.assert_close(state, tuple(reference), rtol=1e-12, atol=1e-12)
    for step in steps:
        state = ours(ours.constant(constant), step, state)
        reference = theirs(torch.cat([constant, step], 1), reference)
        torch.testing.assert_close(state, tuple(reference), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        ours.recurrent.weight.copy_(torch.cat([theirs.weight_hh, theirs.weight_ih[:, 5:]], 1))
    swapped = ours(ours.constant(constant), steps[0], state)
    assert not torch.allclose(swapped[0], theirs(torch.cat([constant, steps[0]], 1), reference)[0], rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_canvas_n_is_the_sum_of_the_first_n_pasted_objects(tiny_config: Tiny, kind: str) -> None:
    """canvases[:, 0] is empty, and each object is added once, at its own z_where."""
    objects = roll(build(tiny_config(kind)))
    total = torch.zeros(2, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(objects.canvases[:, 0], total)
    for n in range(3):
        total = total + paste(objects.drawn[:, n], objects.z_where[:, n], 12)
        torch.testing.assert_close(objects.canvases[:, n + 1], total)
        assert objects.canvases[:, n + 1].sum() > objects.canvases[:, n].sum() + 0.1, "every step draws something"


@pytest.mark.parametrize("kind", KINDS)
def test_glimpses_and_latents_are_those_of_their_own_step(tiny_config: Tiny, kind: str) -> None:
    """x_att is cropped at z_where, z = loc + scale * noise, objects are decoded from z_what: step by step."""
    model = build(tiny_config(kind))
    noise = noise_of(model, 2)
    objects = model(scenes(2), noise)
    loc, sd = loc_and_sd(objects.q_where)
    torch.testing.assert_close(objects.z_where, loc + sd * noise.where)
    loc, sd = loc_and_sd(objects.q_what)
    torch.testing.assert_close(objects.z_what, loc + sd * noise.what)
    torch.testing.assert_close(objects.drawn, model.decoder(objects.z_what))
    for i in range(3):
        glimpse = crop(objects.canvas, objects.z_where[:, i], 6)
        torch.testing.assert_close(objects.glimpses[:, i], glimpse)
        mean, raw = model.what.head(model.encoder(glimpse)).chunk(2, 1)
        torch.testing.assert_close(loc[:, i], mean)
        torch.testing.assert_close(sd[:, i], positive(raw, 1.0))


def test_a_step_reads_the_latents_of_the_step_before(tiny_config: Tiny) -> None:
    """Noise in step i leaves steps up to i's own decision alone and moves every later one."""
    model = build(tiny_config())
    noise = noise_of(model, 2)
    where = noise.where.clone()
    where[:, 1] += 1.0
    before, after = model(scenes(2), noise), model(scenes(2), type(noise)(where, noise.what))
    torch.testing.assert_close(before.logits[:, :2], after.logits[:, :2], rtol=0, atol=0)
    torch.testing.assert_close(before.z_where[:, :1], after.z_where[:, :1], rtol=0, atol=0)
    assert ((before.logits - after.logits)[:, 2].abs() > 1e-6).all()


def embedding_inputs(model: AIR) -> tuple[Objects, list[Tensor]]:
    """A roll-out and what the embedding was given during it."""
    seen: list[Tensor] = []
    handle = model.network.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    objects = roll(model)
    handle.remove()
    return objects, seen


def test_residual_attention_reads_what_is_not_explained_yet(tiny_config: Tiny) -> None:
    """Step i + 1 reads the canvas minus the first i pasted objects; without ``residual`` it reads the canvas, once."""
    objects, seen = embedding_inputs(build(tiny_config("network.attention_input=residual")))
    assert len(seen) == 3
    for i, read in enumerate(seen):
        torch.testing.assert_close(read, objects.canvas - objects.canvases[:, i])
    assert not torch.allclose(seen[1], objects.canvas, atol=1e-3), "the first object did explain something"
    objects, seen = embedding_inputs(build(tiny_config("network.attention_input=canvas")))
    assert len(seen) == 1
    assert torch.equal(seen[0], objects.canvas)


def test_no_gradient_flows_through_what_is_explained(tiny_config: Tiny) -> None:
    """The decoder learns nothing from what later glances make of its objects, and everything from the canvases."""
    model = build(tiny_config("network.attention_input=residual"))
    objects = roll(model)
    decoder = list(model.decoder.parameters())
    later = objects.logits.sum() + objects.z_where.sum() + objects.z_what.sum()
    through = torch.autograd.grad(later, decoder, retain_graph=True, allow_unused=True)
    assert all(g is None for g in through)
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(objects.canvases.sum(), decoder))


def test_residual_attention_does_read_the_decoder(tiny_config: Tiny) -> None:
    """Negative control of the one before: another decoder changes the second decision, though not by a gradient."""
    model = build(tiny_config("network.attention_input=residual"))
    before = roll(model).logits
    model.decoder.bias += 1.0
    after = roll(model).logits
    assert torch.equal(before[:, 0], after[:, 0])
    assert ((before - after)[:, 1].abs() > 1e-6).all()


def test_mean_noise_gives_the_posterior_means(tiny_config: Tiny) -> None:
    """Zero noise puts every latent at its posterior's mean; drawn noise does not."""
    model = build(tiny_config())
    noise = model.mean_noise(2)
    objects = model(scenes(2), noise)
    assert torch.equal(objects.z_where, objects.q_where.mean)
    assert torch.equal(objects.z_what, objects.q_what.mean)
    assert ((sampled := roll(model)).z_where - sampled.q_where.mean).abs().min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_more_steps_leave_the_first_ones_unchanged(tiny_config: Tiny, kind: str) -> None:
    """A model built for 3 steps rolls out 5, and the first 3 are those of the 3-step roll-out."""
    model = build(tiny_config(kind))
    long = noise_of(model, 2, 5)
    objects = model(scenes(2), long)
    short = model(scenes(2), type(long)(long.where[:, :3], long.what[:, :3]))
    assert objects.canvases.shape == (2, 6, 12, 12)
    for name in ("z_where", "z_what", "logits", "kl_where", "kl_what", "glimpses", "drawn"):
        torch.testing.assert_close(getattr(objects, name)[:, :3], getattr(short, name), rtol=0, atol=1e-12)
    torch.testing.assert_close(objects.canvases[:, :4], short.canvases, rtol=0, atol=1e-12)
    assert model.mean_noise(2, 5).what.shape == (2, 5, 4)


def test_kls_are_the_closed_form_summed_over_each_latent(tiny_config: Tiny) -> None:
    """KL(N(m, s) || N(m0, s0)) = log(s0 / s) + (s^2 + (m - m0)^2) / (2 s0^2) - 1/2, in nats, for each step."""
    objects = roll(build(tiny_config("prior.where_loc=[2.5, 0.5, -0.5]", "prior.where_scale=[0.1, 0.7, 2.0]")))

    def closed(q: Distribution, loc: Tensor, scale: Tensor) -> Tensor:
        mean, sd = loc_and_sd(q)
        return ((scale / sd).log() + (sd**2 + (mean - loc) ** 2) / (2 * scale**2) - 0.5).sum(-1)

    where = torch.tensor([[2.5, 0.5, -0.5], [0.1, 0.7, 2.0]]).double()  # the config passes through float32
    torch.testing.assert_close(objects.kl_where, closed(objects.q_where, *where))
    torch.testing.assert_close(objects.kl_what, closed(objects.q_what, torch.zeros(4), torch.ones(4)))
    torch.testing.assert_close(objects.kl_where, kl_divergence(objects.q_where, normal(*where)))
    reverse = kl_divergence(normal(*where), objects.q_where)
    assert (objects.kl_where - reverse).abs().min() > 1e-3, "the other direction is told apart"


def test_the_pose_starts_at_its_priors_mean(tiny_config: Tiny) -> None:
    """q(z_where) is centred on the prior's mean and q(z_pres) on present_bias: the head gives departures from them."""
    model = build(tiny_config("prior.where_loc=[2.5, 0.5, -0.5]", "network.present_bias=1.5"))
    with torch.no_grad():
        for parameter in [*model.network.where.head.parameters(), *model.network.present.parameters()]:
            parameter.zero_()
    objects = roll(model)
    torch.testing.assert_close(loc_and_sd(objects.q_where)[0], torch.tensor([2.5, 0.5, -0.5]).double().expand(2, 3, 3))
    torch.testing.assert_close(objects.logits, torch.full((2, 3), 1.5).double())
    torch.testing.assert_close(loc_and_sd(objects.q_where)[1], torch.full((2, 3, 3), 0.1).double(), rtol=0, atol=2e-4)


def test_a_plain_start_is_that_of_the_layers_alone(tiny_config: Tiny) -> None:
    """Around 0 with sd softplus(0), for z_where and z_what; with the near start neither is."""
    for start, loc, sds in (("plain", 0.0, (math.log(2), math.log(2))), ("near", 3.0, (0.1, 1.0))):
        model = build(tiny_config(f"network.start={start}"))
        with torch.no_grad():
            for parameter in [*model.network.where.head.parameters(), *model.what.head.parameters()]:
                parameter.zero_()
        q_where = model.network.where(torch.zeros(2, 7).double())
        q_what = model.what(torch.zeros(2, 9).double())
        assert loc_and_sd(q_where)[0][0, 0].item() == pytest.approx(loc)
        for q, sd in zip((q_where, q_what), sds, strict=True):
            assert loc_and_sd(q)[1].mean().item() == pytest.approx(sd, abs=2e-4)


@pytest.mark.parametrize("canvas", [2, 17, 50, 53])
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_build_at_any_canvas_size(tiny_config: Tiny, name: str, canvas: int) -> None:
    """``size`` is what the embedding gives, at odd sizes too, and the whole model runs there."""
    embedding = EMBEDDINGS[name](canvas)
    assert embedding(torch.rand(2, canvas, canvas)).shape == (2, embedding.size)
    model = build(tiny_config(f"network.embedding={name}", f"model.canvas={canvas}"))
    assert model(scenes(2, canvas), noise_of(model, 2)).canvases.shape == (2, 4, canvas, canvas)


def test_scenes_of_a_batch_do_not_touch_each_other(tiny_config: Tiny) -> None:
    """A scene's roll-out is the same alone and in company."""
    model = build(tiny_config("network.attention_input=residual"))
    noise = noise_of(model, 3)
    together = model(scenes(3), noise)
    alone = model(scenes(3)[1:2], type(noise)(noise.where[1:2], noise.what[1:2]))
    torch.testing.assert_close(together.logits[1:2], alone.logits)
    torch.testing.assert_close(together.canvases[1:2], alone.canvases)


def test_positive_is_positive_and_starts_where_it_says() -> None:
    """positive(0, s) = s to 1e-4, rising, and above 0 however negative its argument."""
    raw = torch.linspace(-200, 50, 101).double()
    assert positive(torch.zeros(()), 0.1).item() == pytest.approx(0.1, abs=2e-4)
    assert (positive(raw, 0.1) > 0).all()
    assert (positive(raw, 0.1).diff() >= 0).all()


def test_a_bound_bends_positive_and_leaves_small_values_alone() -> None:
    """positive(raw, s, most) rises, stays below ``most`` where it would exceed it, and is itself far below ``most``."""
    raw = torch.linspace(-20, 50, 101).double()
    bent, free = positive(raw, 0.1, 0.3), positive(raw, 0.1)
    assert bent.max() <= 0.3 < free.max()
    assert (bent.diff() >= 0).all()
    assert (bent <= free).all()
    assert positive(torch.zeros(()), 0.1, 0.3).item() == pytest.approx(0.1, rel=0.05)
    torch.testing.assert_close(positive(raw, 0.1, 1e9), free)


def test_where_sd_max_bounds_the_poses_alone(tiny_config: Tiny) -> None:
    """Heads that ask for sds far above the bound get the bound for z_where; z_what and the means are untouched."""
    free, bound = build(tiny_config()), build(tiny_config("posterior.where_sd_max=0.3"))
    bound.load_state_dict(free.state_dict())
    for model in (free, bound):
        with torch.no_grad():
            model.network.where.head.bias[3:] += 20.0
    wide, narrow = roll(free), roll(bound)
    assert loc_and_sd(wide.q_where)[1].min() > 1
    loc, sd = loc_and_sd(narrow.q_where)
    torch.testing.assert_close(sd, torch.full_like(sd, 0.3))
    torch.testing.assert_close(loc[:, 0], loc_and_sd(wide.q_where)[0][:, 0])
    torch.testing.assert_close(narrow.logits[:, 0], wide.logits[:, 0])
