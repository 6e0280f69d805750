"""The estimators on the code of all subsets: their means over the 2^M codewords against the gradient of the ELBO."""

from __future__ import annotations

import pytest
import torch
from laws import gradient
from test_marginal import model_of, observed
from torch import Tensor

from airctl.config import Config, override
from airctl.model import AIR, Objects, Subsets
from airctl.objectives import Exact, Terms, estimator

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
