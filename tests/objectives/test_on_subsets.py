"""The estimators on the code of all subsets: their means over the 2^M codewords against the gradient of the ELBO."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from laws import gradient, within
from test_marginal import model_of, observed
from torch import Tensor

from airctl.config import Config, override
from airctl.model import AIR, DenseLayers, Objects, Subsets
from airctl.objectives import (
    RLOO,
    Concrete,
    Exact,
    NoBaseline,
    Rebar,
    ScoreFunction,
    Surrogate,
    Temperature,
    Terms,
    estimator,
    likelihood_signal,
    per_step_signal,
    terms_of,
    whole_signal,
)
from airctl.objectives.concrete import logistic
from airctl.objectives.rebar import given_decisions
from airctl.objectives.terms import at

SETTINGS = ("objective.baseline_hidden=4", "model.canvas=16", "model.what=3")
UNBIASED = ["exact", "score-function", "score-function-average", "score-function-neural", "rloo", "measure-valued"]


def problem() -> tuple[AIR, Objects, Terms]:
    model = model_of()
    return (model, *observed(model, batch=1))


def config_of(model: AIR) -> Config:
    return override(model.config, SETTINGS)


def mean_gradient(name: str, model: AIR, objects: Objects, terms: Terms) -> Tensor:
    """The estimator's expected gradient over what it samples given the objects, enumerated."""
    torch.manual_seed(3)
    chosen = estimator(name, config_of(model))
    chosen.modules.double()
    surrogate = chosen.expected(objects, terms)
    assert surrogate is not None
    return gradient(surrogate.loss, list(model.parameters()))


def test_the_exact_estimator_is_the_closed_form_of_independent_bernoullis() -> None:
    """E |x - y_S|^2 = |x - sum p_i y_i|^2 + sum p_i (1 - p_i) |y_i|^2, the KLs weighted by p_i, log p(S) enumerated."""
    _, objects, terms = problem()
    p, pasted = objects.logits.sigmoid()[0], objects.pasted[0]
    rest = objects.canvas[0] - (p[:, None, None] * pasted).sum(0)
    error = rest.square().sum() + (p * (1 - p) * pasted.square().sum((1, 2))).sum()
    sd = terms.likelihood.sd
    constant = -objects.canvas[0].numel() * torch.tensor(sd * (2 * torch.pi) ** 0.5).log()
    kl = (p * (objects.kl_where + objects.kl_what)[0]).sum()
    q = terms.log_q[0].exp()
    expected = constant - 0.5 * error / sd**2 - kl + (q * (terms.log_p - terms.log_q[0])).sum()
    torch.testing.assert_close(-Exact().expected(objects, terms).loss, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", UNBIASED)
def test_the_mean_gradient_is_that_of_the_elbo(name: str) -> None:
    """Over all eight subsets, in every parameter of the model."""
    model, objects, terms = problem()
    exact = gradient(Exact().expected(objects, terms).loss, list(model.parameters()))
    assert (mean_gradient(name, model, objects, terms) - exact).norm() < 1e-8 * exact.norm()


def test_the_baseline_that_reads_its_own_decision_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the baseline of Drelich 2019 is biased on this code too."""
    model, objects, terms = problem()
    exact = gradient(Exact().expected(objects, terms).loss, list(model.parameters()))
    assert (mean_gradient("report-2019", model, objects, terms) - exact).norm() > 1e-3 * exact.norm()


def test_a_credit_that_leaves_out_its_own_decision_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without what decision i itself pays for, the mean gradient is another."""
    model, objects, terms = problem()
    exact = gradient(Exact().expected(objects, terms).loss, list(model.parameters()))
    right = Subsets.credit

    def wrong(self: Subsets, whole: Tensor, kl: Tensor, log_p: Tensor, log_present: Tensor, *rest: Tensor) -> Tensor:
        own = torch.where(self.decisions(rest[1])[1], log_present, rest[0])
        return right(self, whole, kl, log_p, log_present, *rest) + 5 * own

    monkeypatch.setattr(Subsets, "credit", wrong)
    assert (mean_gradient("score-function", model, objects, terms) - exact).norm() > 1e-3 * exact.norm()


def test_sampled_gradients_agree_with_the_enumerated_ones() -> None:
    """Measure-valued and score function, sampled 400 times, within five standard errors along the exact gradient."""
    model, objects, terms = problem()
    exact = gradient(Exact().expected(objects, terms).loss, [objects.logits])
    direction = exact / exact.norm()
    for name in ("score-function", "measure-valued", "rloo"):
        chosen, generator = estimator(name, config_of(model)), torch.Generator().manual_seed(0)
        along = [gradient(chosen(objects, terms, generator).loss, [objects.logits]) @ direction for _ in range(400)]
        values = torch.stack(along)
        assert (values.mean() - exact.norm()).abs() < 5 * values.std() / 20


def by_hand(objects: Objects, terms: Terms, logits: Tensor, pasted: Tensor, presence: Tensor) -> Tensor:
    """log p(x | sum_i m_i y_i) - sum_i m_i kl_i - KL(q(S) || p(S)) for ``presence`` m [R, M] of one scene -> [R]."""
    mean = (presence[:, :, None, None] * pasted).sum(1)
    likelihood = terms.likelihood.log_prob(objects.canvas, mean)
    q = terms.code.log_q(logits)[0]
    kl = (objects.kl_where + objects.kl_what).detach()
    return likelihood - (presence * kl).sum(1) - (q.exp() * (q - terms.log_p)).sum()


def test_concrete_is_the_path_wise_gradient_of_its_relaxed_objective() -> None:
    """For given noise: value and gradient, in the logits and the objects, of half-present objects on one canvas."""
    model, objects, _ = problem()
    logits, pasted = objects.logits.detach().requires_grad_(), objects.pasted.detach().requires_grad_()
    objects = replace(objects, logits=logits, layers=DenseLayers(pasted))
    terms = terms_of(objects, model.count(3), model.likelihood)
    noise = torch.tensor([[0.4, -1.1, 2.0]]).double()
    m = ((logits + noise) / 0.5).sigmoid()
    expected = -by_hand(objects, terms, logits, pasted, m).mean()
    loss = Concrete(Temperature(0.5, 0.5, 0)).given(objects, terms, noise).loss
    torch.testing.assert_close(loss, expected)
    for found, right in zip(*(torch.autograd.grad(v, [logits, pasted]) for v in (loss, expected)), strict=True):
        torch.testing.assert_close(found, right)


def test_concrete_tends_to_a_sampled_subset_as_it_cools() -> None:
    """At temperature 1e-4 the loss is that of the codeword that the noise decides for; at 0.67 it is not."""
    _, objects, terms = problem()
    entropy = (terms.log_q.exp() * (terms.log_p - terms.log_q)).sum(1)
    for codeword in range(8):
        bits = torch.tensor([[codeword >> i & 1 for i in range(3)]]).double()
        noise = 4 * bits - 2 - objects.logits.detach()  # so that logit + noise is 2 or -2
        expected = -(terms.log_likelihood - terms.kl)[:, codeword] - entropy
        cold, warm = (Concrete(Temperature(t, t, 0)).given(objects, terms, noise).loss for t in (1e-4, 0.67))
        torch.testing.assert_close(cold, expected[0])
        assert (warm - cold).abs() > 1e-3


def sampled_logit_gradients(kind: type[Rebar], eta: float, number: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """``number`` gradients [R, M] of minus the ELBO in the logits by ``kind``, their codewords, the exact one."""
    model, objects, terms = problem()
    chosen = kind(0.67)
    chosen.modules.double().eval()
    with torch.no_grad():
        chosen.control.eta.fill_(eta)
    exact = gradient(Exact().expected(objects, terms).loss, [objects.logits])
    rows = {"canvas", "z_where", "z_what", "logits", "kl_where", "kl_what"}
    many = {name: getattr(objects, name).detach().expand(number, *getattr(objects, name).shape[1:]) for name in rows}
    layers = DenseLayers(objects.pasted.detach().expand(number, -1, -1, -1))
    every = replace(objects, **many, layers=layers)
    repeated = terms_of(every, model.count(3), model.likelihood)
    generator = torch.Generator().manual_seed(seed)
    noise = logistic(every.logits, generator)
    codewords = ((every.logits + noise > 0) * torch.tensor([1, 2, 4])).sum(1)
    return -chosen.slope(every, repeated, noise, logistic(every.logits, generator)), codewords, exact


class NotPutBack(Rebar):
    """Forgets the path-wise terms that undo what the control variate takes away."""

    def slope(self, objects: Objects, terms: Terms, noise: Tensor, other: Tensor) -> Tensor:
        codewords = ((objects.logits + noise > 0) * torch.tensor([1, 2, 4])).sum(1)
        bits = terms.code.members[codewords].to(noise)
        score = bits - objects.logits.sigmoid()
        conditional = self.relaxed(objects, terms, given_decisions(bits, objects.logits, other))
        return (at(terms.bracket, codewords) - self.control.eta * conditional)[:, None] * score


def test_rebar_has_the_gradient_of_the_elbo_for_any_eta() -> None:
    """With its whole control the mean of 20 000 draws is within five standard errors, and the variance lower.

    Without control it is the score function, draw by draw; in between, for the same noise, it is their mixture.
    """
    (none, codewords, _), (some, _, _), (whole, _, exact) = (
        sampled_logit_gradients(Rebar, eta, 20_000, seed=0) for eta in (0.0, 0.6, 1.0)
    )
    assert within(whole, exact)
    assert whole.var(0).sum() < none.var(0).sum() / 10
    assert len(codewords.unique()) == 8
    _, objects, terms = problem()
    score = terms.code.members[codewords].double() - objects.logits.detach().sigmoid()
    torch.testing.assert_close(none, -terms.bracket[0].detach()[codewords][:, None] * score)
    torch.testing.assert_close(some, 0.4 * none + 0.6 * whole)


def test_a_control_that_is_not_put_back_is_caught() -> None:
    """Negative control: without its path-wise terms REBAR is many standard errors away."""
    gradients, _, exact = sampled_logit_gradients(NotPutBack, 1.0, 20_000, seed=0)
    assert not within(gradients, exact, errors=8)


def rloo_mean(objects: Objects, terms: Terms, estimator: RLOO) -> Tensor:
    """The mean gradient in the logits of two sampled codewords, summed over all 64 pairs."""
    q = terms.log_q[0].detach().exp()
    total = torch.zeros(3).double()
    for pair in product(range(8), repeat=2):
        loss = estimator.given(objects, terms, torch.tensor([pair])).loss
        total += q[pair[0]] * q[pair[1]] * gradient(loss, [objects.logits])
    return total


class OwnSampleIncluded(RLOO):
    """Takes the mean of all K for a baseline, its own sample among them."""

    def given(self, objects: Objects, terms: Terms, codewords: Tensor) -> Surrogate:
        signal = at(terms.bracket, codewords).detach()
        score = (signal - signal.mean(1, keepdim=True)) * at(terms.log_q, codewords)
        loss = -(at(terms.log_likelihood - terms.kl, codewords) + score).mean()
        return Surrogate(loss, loss.new_zeros(()), terms.elbo.detach())


def test_rloo_summed_over_all_pairs_is_the_gradient_of_the_elbo() -> None:
    """What is sampled, not the formula of its mean; a baseline that has its own sample in it is caught."""
    _, objects, terms = problem()
    exact = gradient(Exact().expected(objects, terms).loss, [objects.logits])
    torch.testing.assert_close(rloo_mean(objects, terms, RLOO(2)), exact)
    twice = gradient(RLOO(2).given(objects, terms, torch.tensor([[5, 5]])).loss, [objects.logits])
    assert not twice.any(), "two of the same teach nothing"
    assert (rloo_mean(objects, terms, OwnSampleIncluded(2)) - exact).norm() > 0.1 * exact.norm()


def test_the_score_function_summed_over_codewords_is_the_gradient_of_the_elbo() -> None:
    """What is sampled, codeword by codeword; with the reward of Drelich 2019, which knows no KL, it is another."""
    _, objects, terms = problem()
    exact = gradient(Exact().expected(objects, terms).loss, [objects.logits])
    q = terms.log_q[0].detach().exp()

    def mean(chosen: ScoreFunction) -> Tensor:
        each = [gradient(chosen.given(objects, terms, torch.tensor([k])).loss, [objects.logits]) for k in range(8)]
        return q @ torch.stack(each)

    for signal in (per_step_signal, whole_signal):
        torch.testing.assert_close(mean(ScoreFunction(signal, NoBaseline())), exact)
    log_q = terms.code.log_q(objects.logits)[0]
    of_likelihood = -gradient((log_q.exp() * terms.log_likelihood[0].detach()).sum(), [objects.logits])
    for constant in (0.0, -500.0):
        reward = partial(likelihood_signal, constant=constant)
        torch.testing.assert_close(mean(ScoreFunction(reward, NoBaseline())), of_likelihood)
    assert (of_likelihood - exact).norm() > 1e-3 * exact.norm()
