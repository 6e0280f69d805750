"""The code of all subsets against brute force: squared errors, priors, posteriors over the count, decisions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from airctl.errors import ConfigError
from airctl.model import DenseLayers, InPixels, Layers, Subsets, Unary, truncated_geometric
from airctl.model.subsets import MOST

M = 4


def scene(batch: int = 3, height: int = 20, width: int = 26) -> tuple[Tensor, Layers, Layers]:
    """Scenes, and objects that overlap, touch the edge and lie outside: in windows, and the same on whole canvases."""
    generator = torch.Generator().manual_seed(0)
    poses = InPixels(8.0, 0.8, 1.35).double()
    drawn = torch.rand(batch, M, 6, 6, generator=generator, dtype=torch.float64)
    canvas = torch.rand(batch, height, width, generator=generator, dtype=torch.float64)
    where = torch.tensor([[0.3, 9.2, 8.7], [-0.5, 11.4, 9.9], [0.0, 1.1, 19.5], [0.9, 60.0, -40.0]]).double()
    windows = poses.paste(drawn, where.expand(batch, M, 3) + 0.1 * torch.arange(batch)[:, None, None], canvas)
    return canvas, windows, DenseLayers(windows.dense())


PRIORS = {
    "geometric": truncated_geometric(0.1, M),
    "uniform": truncated_geometric(1.0, M),
    "poisson": torch.log_softmax(
        torch.tensor([n * math.log(2.0) - math.lgamma(n + 1) for n in range(M + 1)]).double(), 0
    ),
}


def subsets() -> list[tuple[int, ...]]:
    """The members of each codeword, in their order."""
    return [tuple(i for i in range(M) if k >> i & 1) for k in range(2**M)]


@pytest.mark.parametrize("kind", ["windows", "dense"])
def test_the_gram_sum_is_the_squared_error_of_each_canvas(kind: str) -> None:
    """|x|^2 - 2 b.s + s'Gs is |x - sum of the members|^2 on the canvas itself, for all 16 subsets."""
    canvas, windows, dense = scene()
    squares = Subsets(M).squares(canvas, windows if kind == "windows" else dense)
    for k, members in enumerate(subsets()):
        mean = dense.dense()[:, list(members)].sum(1)
        torch.testing.assert_close(squares[:, k], (canvas - mean).square().sum((1, 2)))


def test_ink_beyond_the_edge_is_on_no_canvas() -> None:
    """Negative control: with windows that are not cut at the edge the sum above is another."""
    canvas, windows, _ = scene()
    assert windows.dense()[:, 3].abs().sum() == 0, "the last object lies outside"
    uncut = type(windows)(windows.windows, torch.ones_like(windows.drawn), windows.height, windows.width)
    wrong = Subsets(M).squares(canvas, uncut)
    right = Subsets(M).squares(canvas, DenseLayers(uncut.dense()))
    assert (wrong - right).abs().max() > 1


def test_canvases_sums_and_layers_agree() -> None:
    """Each codeword's canvas is the sum of its members; ``sum`` and ``sums`` are linear in presence and values."""
    canvas, windows, dense = scene()
    code = Subsets(M)
    values = torch.arange(1.0, M + 1).double().expand(3, M)
    for k, members in enumerate(subsets()):
        expected = dense.dense()[:, list(members)].sum(1)
        torch.testing.assert_close(code.canvases(windows)[:, k], expected)
        torch.testing.assert_close(windows.sum(code.members[k].double().expand(3, M)), expected)
        assert code.sums(values)[0, k] == sum(i + 1 for i in members)
    torch.testing.assert_close(windows.products(canvas), dense.products(canvas))


@pytest.mark.parametrize("name", PRIORS)
def test_p_of_codewords_sums_to_one_and_gives_the_count_prior_back(name: str) -> None:
    """p(S) = p(n) / C(M, n): over all subsets it sums to one, over those of n objects to p(n)."""
    log_p = Subsets(M).log_p(PRIORS[name])
    assert log_p.exp().sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(Subsets(M).by_count(log_p), PRIORS[name])


@pytest.mark.parametrize("name", PRIORS)
def test_the_posterior_of_the_count_is_that_of_brute_force(name: str) -> None:
    """p(n | x) from the Gram matrix equals the sum over subsets of n of their canvases' likelihoods, normalised."""
    canvas, windows, dense = scene()
    code, sd = Subsets(M), 2.0
    log_w = -0.5 * code.squares(canvas, windows) / sd**2 + code.log_p(PRIORS[name])
    found = code.by_count(log_w.log_softmax(1)).exp()
    for b in range(3):
        weights = [0.0] * (M + 1)
        for members in subsets():
            error = float((canvas[b] - dense.dense()[b, list(members)].sum(0)).square().sum())
            n = len(members)
            weights[n] += math.exp(-0.5 * error / sd**2 + PRIORS[name][n].item()) / math.comb(M, n)
        expected = torch.tensor(weights).double() / sum(weights)
        torch.testing.assert_close(found[b], expected)
    forgotten = code.by_count((log_w - code.log_p(PRIORS[name]) + PRIORS[name][code.counts]).log_softmax(1)).exp()
    assert (forgotten - found).abs().max() > 1e-3, "without the number of subsets it is another prior"


def test_log_q_is_a_product_of_bernoullis_and_stays_finite() -> None:
    """Independent decisions; logits of +-800 give no infinity that a gradient could meet."""
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.0], [800.0, -800.0, 0.0, 1.0]]).double().requires_grad_()
    log_q = Subsets(M).log_q(logits)
    p = logits[0].detach().sigmoid()
    for k, bits in enumerate(subsets()):
        expected = math.prod(float(p[i]) if i in bits else 1 - float(p[i]) for i in range(M))
        assert log_q[0, k].detach().exp().item() == pytest.approx(expected)
    torch.testing.assert_close(log_q.exp().sum(1), torch.ones(2).double())
    assert torch.autograd.grad(log_q.sum(), logits)[0].isfinite().all()


def test_decisions_weights_and_outcomes_follow_their_definitions() -> None:
    """All M decisions are taken; weights at 0 and 1 pick one codeword; each outcome flips one bit alone."""
    code, codewords = Subsets(M), torch.tensor([0b0101, 0b1110])
    drawn, present = code.decisions(codewords)
    assert drawn.all()
    assert present.int().tolist() == [[1, 0, 1, 0], [0, 1, 1, 1]]
    assert code.weights(present.double()).argmax(1).tolist() == codewords.tolist()
    values = torch.arange(2.0**M).expand(2, -1)
    there, away = code.outcomes(values, codewords, codewords)
    assert there[0].tolist() == [5, 7, 5, 13]
    assert away[0].tolist() == [4, 5, 1, 5]


def test_credit_leaves_out_what_the_others_pay() -> None:
    """The signal of decision i is the ELBO plus the KL and log q of all other decisions, as none depends on it."""
    code, logits = Subsets(M), torch.tensor([[0.5, -0.2, 1.0, -1.0]]).double()
    kl = torch.tensor([[1.0, 2.0, 4.0, 8.0]]).double()
    present, absent = logits.sigmoid().log(), (-logits).sigmoid().log()
    codewords = torch.tensor([0b0110])
    whole = torch.full((1, M), -50.0).double()
    credit = code.credit(whole, code.sums(kl), code.log_p(PRIORS["uniform"]), present, absent, codewords)
    each = [absent[0, 0], present[0, 1] + 2, present[0, 2] + 4, absent[0, 3]]
    for i in range(M):
        assert credit[0, i].item() == pytest.approx(-50 + float(sum(each) - each[i]))


def test_too_many_proposals_are_refused_with_the_reason() -> None:
    """More than are enumerated, and more than may have a canvas each."""
    with pytest.raises(ConfigError, match=f"at most {MOST} can be summed out at once"):
        Subsets(MOST + 1)
    layers = DenseLayers(torch.zeros(1, 7, 4, 4))
    with pytest.raises(ConfigError, match="needs a canvas for each of the 128 subsets of 7 proposals"):
        Subsets(7).canvases(layers)
    assert Subsets(6).canvases(DenseLayers(torch.zeros(1, 6, 4, 4))).shape == (1, 64, 4, 4)


def test_members_are_the_binary_digits() -> None:
    """Bit i of a codeword's number is object i."""
    assert [tuple(row.nonzero()[:, 0].tolist()) for row in Subsets(M).members] == subsets()
    assert Subsets(M).counts.tolist() == [len(members) for members in subsets()]


def test_weights_and_presence_between_0_and_1_are_products_of_independent_decisions() -> None:
    """Decisions of probability p give each subset prod p_i prod (1 - p_j), and each object its own p_i."""
    code, p = Subsets(M), torch.tensor([[0.2, 0.9, 0.5, 0.7]]).double()
    weights = code.weights(p)
    for k, members in enumerate(subsets()):
        expected = math.prod(float(p[0, i]) if i in members else 1 - float(p[0, i]) for i in range(M))
        assert weights[0, k].item() == pytest.approx(expected)
    torch.testing.assert_close(code.presence(p), weights @ code.members.double())
    torch.testing.assert_close(weights, code.log_q(p.logit()).exp())
    assert not torch.allclose(Unary(M).presence(p), p), "in the unary code an object needs all before it"


def test_nothing_follows_from_a_decision() -> None:
    """What would have come after it is the codeword itself, with certainty."""
    codewords = torch.tensor([3, 12])
    beyond = Subsets(M).beyond(torch.zeros(2, 2**M).double(), codewords)
    assert beyond.argmax(1).tolist() == [3, 12]
    assert beyond.sum(1).tolist() == [1, 1]


def test_objects_overlap_and_touch_the_edge_in_these_scenes() -> None:
    """The laws above are of scenes in which something can go wrong: overlaps, ink cut off, an object outside."""
    canvas, windows, dense = scene()
    gram = dense.products(canvas)[1]
    assert (gram[:, 0, 1] > 0).all()
    uncut = type(windows.windows)(windows.windows.centre + 100, windows.windows.side, windows.windows.corner + 100, 12)
    free = uncut.paste(torch.ones(3, M, 6, 6).double(), 300, 300).sum((-2, -1))
    cut = windows.windows.paste(torch.ones(3, M, 6, 6).double(), 20, 26).sum((-2, -1))
    torch.testing.assert_close(cut[:, 0], free[:, 0])
    assert ((cut[:, 2] > 0) & (cut[:, 2] < free[:, 2] - 1)).all()
    assert not cut[:, 3].any()
