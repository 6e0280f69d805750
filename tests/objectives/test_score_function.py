"""Is the mean gradient the exact one? By full enumeration over the counts, and by sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from laws import (
    Given,
    Problem,
    average,
    enumerated,
    exact_gradient,
    gradient,
    mean,
    neural,
    relative_bias,
    total_variance,
)
from torch import Tensor

from airctl.config import Config
from airctl.model import Unary
from airctl.objectives import (
    NeuralBaseline,
    NoBaseline,
    ScoreFunction,
    Terms,
    estimator,
    likelihood_signal,
    no_signal,
    per_step_signal,
    score_function,
    whole_signal,
)

Tiny = Callable[..., Config]

UNBIASED: dict[str, Callable[[Config], ScoreFunction]] = {
    "per-step": lambda config: ScoreFunction(per_step_signal, NoBaseline()),
    "whole": lambda config: ScoreFunction(whole_signal, NoBaseline()),
    "per-step, average": lambda config: ScoreFunction(per_step_signal, average(config.model.num_steps)),
    "whole, average": lambda config: ScoreFunction(whole_signal, average(config.model.num_steps)),
    "per-step, neural previous": lambda config: ScoreFunction(per_step_signal, neural(config, "previous")),
    "whole, neural previous": lambda config: ScoreFunction(whole_signal, neural(config, "previous")),
}

BIASED: dict[str, Callable[[Config], ScoreFunction]] = {
    "report-2019": lambda config: ScoreFunction(likelihood_signal, neural(config, "current")),
    "per-step, neural current": lambda config: ScoreFunction(per_step_signal, neural(config, "current")),
    "whole, neural current": lambda config: ScoreFunction(whole_signal, neural(config, "current")),
    "likelihood, neural previous": lambda config: ScoreFunction(likelihood_signal, neural(config, "previous")),
    "backprop": lambda config: ScoreFunction(no_signal, NoBaseline()),
}

KINDS = ["network.embedding=raw", "network.embedding=conv", "network.attention_input=residual"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNBIASED)
def test_mean_gradient_is_the_exact_one(tiny_config: Tiny, kind: str, name: str) -> None:
    """Summed over all counts with weights q(n), the gradient is Exact's to rounding, whatever signal and baseline."""
    config = tiny_config(kind)
    assert relative_bias(Problem.of(config), UNBIASED[name](config)) < 1e-8


@pytest.mark.parametrize("name", ["per-step, average", "per-step, neural previous"])
def test_mean_gradient_of_a_batch_is_the_exact_one(tiny_config: Tiny, name: str) -> None:
    """The same for two scenes at once, over all pairs of counts: scenes do not mix."""
    config = tiny_config()
    assert relative_bias(Problem.of(config, batch=2), UNBIASED[name](config)) < 1e-8


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_mean_gradient_is_the_exact_one_for_any_number_of_steps(tiny_config: Tiny, num_steps: int) -> None:
    """One step, where every decision is drawn, is no special case."""
    config = tiny_config(f"model.num_steps={num_steps}")
    assert relative_bias(Problem.of(config), UNBIASED["per-step, neural previous"](config)) < 1e-8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BIASED)
def test_biased_estimators_are_caught(tiny_config: Tiny, kind: str, name: str) -> None:
    """A baseline that reads the current z_pres, or a signal without the KL terms, moves the mean gradient, and far."""
    config = tiny_config(kind)
    assert relative_bias(Problem.of(config), BIASED[name](config)) > 0.01


def current_mask_shift(problem: Problem, baseline: NeuralBaseline) -> Tensor:
    """sum_j f_j d P(n >= j): what C = sum_j f_j z_j adds to the mean gradient of the loss, [P].

    The score function multiplies -C by grad log q(n), and E[C grad log q] = grad E[C] = sum_j f_j grad P(n >= j).
    For N = 1 this is f * dp: the ascent direction is shifted by exactly -f * dp.
    """
    objects, terms = problem.observe()
    baseline.mask = "previous"
    f = baseline(objects, torch.zeros(1, dtype=torch.int64)).detach()
    baseline.mask = "current"
    return gradient((f * terms.log_present.cumsum(1).exp()).sum(), problem.parameters)


@pytest.mark.parametrize("signal", [per_step_signal, whole_signal])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_the_current_masks_bias_is_its_closed_form(
    tiny_config: Tiny, num_steps: int, signal: score_function.Signal
) -> None:
    """The mean gradient of the loss is off by sum_j f_j dP(n >= j), which for one step is f dp, and by nothing else."""
    config = tiny_config(f"model.num_steps={num_steps}")
    problem, baseline = Problem.of(config), neural(config, "current")
    off = mean(*enumerated(problem, ScoreFunction(signal, baseline))) - exact_gradient(problem)
    shift = current_mask_shift(problem, baseline)
    assert (off - shift).norm() < 1e-8 * shift.norm()
    assert shift.norm() > 0.01 * exact_gradient(problem).norm()


def test_for_one_step_the_current_mask_shifts_by_f_dp(tiny_config: Tiny) -> None:
    """Spelt out for N = 1: minus the gradient is too small by f * dp, with p = q(z_pres = 1)."""
    config = tiny_config("model.num_steps=1")
    problem, baseline = Problem.of(config), neural(config, "current")
    ascent = -mean(*enumerated(problem, ScoreFunction(per_step_signal, baseline)))
    objects = problem.observe()[0]
    f = baseline(objects, torch.tensor([1])).detach()[0, 0]
    expected = -f * gradient(objects.logits.sigmoid()[0, 0], problem.parameters)
    assert (ascent + exact_gradient(problem) - expected).norm() < 1e-8 * expected.norm()


def test_the_reports_estimator_climbs_the_likelihood_less_its_baseline(tiny_config: Tiny) -> None:
    """report-2019's error is the current mask's shift plus the terms (KL, prior, entropy) that its reward lacks."""
    config = tiny_config()
    problem, baseline = Problem.of(config), neural(config, "current")
    off = mean(*enumerated(problem, BIASED["report-2019"](config))) - exact_gradient(problem)
    terms = problem.observe()[1]
    missing = (terms.log_q.exp() * (terms.bracket - terms.log_likelihood).detach()).sum()
    expected = current_mask_shift(problem, baseline) + gradient(missing, problem.parameters)
    assert (off - expected).norm() < 1e-8 * expected.norm()


def likelihood_reward_mean(problem: Problem) -> Tensor:
    """sum_n q(n) grad f_n + sum_n log p(x | canvas_n) grad q(n), of the loss: with a minus, [P]."""
    terms = problem.observe()[1]
    q, held = terms.log_q.exp(), terms.log_likelihood.detach()
    return -gradient((q.detach() * (terms.log_likelihood - terms.kl) + q * held).sum(), problem.parameters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", [0.0, -41.0, 712.6])
def test_the_likelihood_rewards_mean_is_its_closed_form(tiny_config: Tiny, kind: str, constant: float) -> None:
    """Whatever the constant, which drops out of the mean and not of the variance; far from the ELBO's."""
    config = tiny_config(kind, f"objective.reward_constant={constant}")
    problem, chosen = Problem.of(config), estimator("score-function-likelihood", config)
    gradients, weights = enumerated(problem, chosen)
    expected = likelihood_reward_mean(problem)
    assert (mean(gradients, weights) - expected).norm() < 1e-8 * expected.norm()
    assert relative_bias(problem, chosen) > 0.01
    best = problem.observe()[1].log_likelihood.mean().item()
    centred = total_variance(
        *enumerated(problem, ScoreFunction(partial(likelihood_signal, constant=-best), NoBaseline()))
    )
    assert total_variance(gradients, weights) > centred


@pytest.mark.parametrize("wrong", ["present", "drawn"])
def test_a_constant_that_is_not_every_decisions_is_caught(tiny_config: Tiny, wrong: str) -> None:
    """Negative control: a constant for the decisions that came out as 1 alone, or for each that was drawn, is paid
    by the count, and moves the mean."""

    def signal(terms: Terms, codewords: Tensor) -> Tensor:
        drawn, present = terms.code.decisions(codewords)
        paid = present.double() if wrong == "present" else drawn.sum(1, keepdim=True).double()
        return likelihood_signal(terms, codewords) + 41.0 * paid

    problem = Problem.of(tiny_config())
    expected = likelihood_reward_mean(problem)
    off = mean(*enumerated(problem, ScoreFunction(signal, NoBaseline()))) - expected
    assert off.norm() > 0.01 * expected.norm()


def test_the_reports_baseline_learns_the_constant_that_its_reward_has(tiny_config: Tiny) -> None:
    """The constant alone leaves its mean where it was; f that has learnt it moves it by sum_i c dP(n >= i)."""
    shifted, plain = tiny_config("objective.reward_constant=50.0"), tiny_config()
    problem = Problem.of(plain)

    def mean_of(config: Config, learnt: float) -> Tensor:
        chosen = estimator("report-2019", config)
        chosen.baseline.load_state_dict(neural(config, "current").double().state_dict())
        chosen.modules.double()
        with torch.no_grad():
            chosen.baseline.head.bias.add_(learnt)
        return mean(*enumerated(problem, chosen))

    before = mean_of(plain, 0.0)
    assert (mean_of(shifted, 0.0) - before).norm() < 1e-8 * before.norm()
    reached = problem.observe()[1].log_present.cumsum(1).exp().sum()
    expected = gradient(50.0 * reached, problem.parameters)
    assert (mean_of(shifted, 50.0) - before - expected).norm() < 1e-8 * expected.norm()


def test_backprop_is_the_path_wise_part_alone(tiny_config: Tiny) -> None:
    """Table 1's backprop has the mean sum_n q(n) grad f_n with q held fixed."""
    problem = Problem.of(tiny_config())
    terms = problem.observe()[1]
    path = (terms.log_q.detach().exp() * (terms.log_likelihood - terms.kl)).sum()
    expected = gradient(-path, problem.parameters)
    found = mean(*enumerated(problem, BIASED["backprop"](problem.model.config)))
    assert (found - expected).norm() < 1e-8 * expected.norm()


def off_by_one_early(code: Unary, counts: Tensor) -> tuple[Tensor, Tensor]:
    index = torch.arange(code.size)
    return index < counts[:, None], index < counts[:, None]  # the decision to stop gets no credit


def off_by_one_late(code: Unary, counts: Tensor) -> tuple[Tensor, Tensor]:
    index = torch.arange(code.size)
    return index <= counts[:, None] + 1, index < counts[:, None]  # a decision that was never drawn gets some


@pytest.mark.parametrize("wrong", [off_by_one_early, off_by_one_late])
def test_a_mask_off_by_one_is_caught(
    tiny_config: Tiny, wrong: Callable[[Unary, Tensor], tuple[Tensor, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: credit for one decision too few or too many is a biased gradient."""
    config = tiny_config()
    problem, estimator = Problem.of(config), UNBIASED["per-step"](config)
    assert relative_bias(problem, estimator) < 1e-8
    monkeypatch.setattr(Unary, "decisions", wrong)
    assert relative_bias(problem, estimator) > 0.01


class MaskedByOwnDecision(NeuralBaseline):
    """b_i = f_i z_i: masked one step too late."""

    def given(self, read: Tensor, present: Tensor) -> Tensor:
        return read * present


class MaskedByThePrevious(NeuralBaseline):
    """b_i = f_i z_{i-1}, with z_0 = 1."""

    def given(self, read: Tensor, present: Tensor) -> Tensor:
        return read * torch.cat([torch.ones_like(present[:, :1]), present[:, :-1]], 1)


def test_a_baseline_masked_one_step_late_is_caught(tiny_config: Tiny) -> None:
    """Negative control: f_i z_{i-1} is unbiased, f_i z_i is not."""
    config = tiny_config()
    problem = Problem.of(config)
    right = ScoreFunction(per_step_signal, neural(config, "previous", MaskedByThePrevious))
    late = ScoreFunction(per_step_signal, neural(config, "previous", MaskedByOwnDecision))
    assert relative_bias(problem, right) < 1e-8
    assert relative_bias(problem, late) > 0.01


def standard_errors_off(problem: Problem, estimator: ScoreFunction, samples: int = 2500) -> float:
    """How many standard errors the mean of sampled gradients lies from the exact one, in its worst coordinate.

    The scene is repeated over the batch with the same noise, so that one backward pass averages all the samples;
    their variance is known by enumeration. All gradients lie in the span of the N + 1 counts' own, so the worst of many
    coordinates is the worst of few independent ones.
    """
    objects, terms = problem.observe(repeat=samples)
    loss = estimator(objects, terms, torch.Generator().manual_seed(2024)).loss
    off = gradient(loss, problem.parameters) - exact_gradient(problem)
    gradients, weights = enumerated(problem, estimator)
    variance = weights @ (gradients - mean(gradients, weights)).square()
    standard_error = (variance / samples).sqrt()
    rounding = 1e-9 * gradients.abs().max()
    return float((off.abs() / (standard_error + rounding)).max())


@pytest.mark.parametrize("name", UNBIASED)
def test_sampled_gradients_agree_with_the_exact_one(tiny_config: Tiny, name: str) -> None:
    """Through the sampler as training uses it: 2500 samples' mean within 5 standard errors in every coordinate."""
    config = tiny_config()
    assert standard_errors_off(Problem.of(config), UNBIASED[name](config)) < 5


@pytest.mark.parametrize("name", BIASED)
def test_sampled_gradients_of_biased_estimators_do_not(tiny_config: Tiny, name: str) -> None:
    """The same test has the power to catch each of the biased ones."""
    config = tiny_config()
    assert standard_errors_off(Problem.of(config), BIASED[name](config)) > 5


def test_counts_are_sampled_from_q(tiny_config: Tiny) -> None:
    """Frequencies of 20000 sampled counts lie within 5 standard errors of q(n), and the generator decides them."""
    terms = Problem.of(tiny_config()).observe()[1]
    terms = replace(terms, log_q=terms.log_q.expand(20_000, 4))
    counts = score_function.sample_codewords(terms, torch.Generator().manual_seed(0))
    q = terms.log_q[0].detach().exp()
    frequencies = torch.bincount(counts, minlength=4) / 20_000
    assert ((frequencies - q).abs() < 5 * (q * (1 - q) / 20_000).sqrt()).all()
    assert ((frequencies - q.flip(0)).abs() > 5 * (q * (1 - q) / 20_000).sqrt()).any()
    assert torch.equal(counts, score_function.sample_codewords(terms, torch.Generator().manual_seed(0)))
    assert not torch.equal(counts, score_function.sample_codewords(terms, torch.Generator().manual_seed(1)))


def test_decisions_are_drawn_up_to_the_first_zero() -> None:
    """n objects take n + 1 decisions, the last of them a 0, unless all N were 1."""
    drawn, present = Unary(3).decisions(torch.tensor([0, 1, 3]))
    assert drawn.int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert present.int().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]


def constant_signal(terms: Terms, counts: Tensor) -> Tensor:
    return torch.full_like(terms.log_present, -321.0)


def counting_signal(terms: Terms, counts: Tensor) -> Tensor:
    return -321.0 - counts[:, None].expand_as(terms.log_present).double()


def test_a_constant_signal_has_no_mean_gradient(tiny_config: Tiny) -> None:
    """E[c grad log q] = 0 although no sample is 0; a signal that depends on the count has one."""
    problem = Problem.of(tiny_config())
    gradients, weights = enumerated(problem, ScoreFunction(constant_signal, NoBaseline()), of_logits=True)
    assert (gradients.norm(dim=1) > 1).all()
    assert mean(gradients, weights).norm() < 1e-12 * gradients.norm()
    counting = enumerated(problem, ScoreFunction(counting_signal, NoBaseline()), of_logits=True)
    assert mean(*counting).norm() > 0.1


@pytest.mark.parametrize("mask", ["previous", "current"])
def test_expected_is_the_mean_over_every_count(tiny_config: Tiny, mask: str) -> None:
    """The gradient of ``expected`` is sum_n q(n) times that of ``given`` n, biased baseline or not; and for a batch."""
    problem = Problem.of(tiny_config(), batch=1)
    baseline = NeuralBaseline(12, 4, 5, mask).double()
    estimator = ScoreFunction(per_step_signal, baseline)
    objects, terms = problem.observe()
    gradients = [
        torch.autograd.grad(estimator.given(objects, terms, torch.tensor([n])).loss, objects.logits, retain_graph=True)[
            0
        ]
        for n in range(4)
    ]
    q = terms.log_q.detach().exp()[0]
    mean = sum(weight * gradient for weight, gradient in zip(q, gradients, strict=True))
    (found,) = torch.autograd.grad(estimator.expected(objects, terms).loss, objects.logits)
    torch.testing.assert_close(found, mean, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(found, gradients[0], rtol=1e-3)
    twice = Problem.of(tiny_config(), batch=2)
    both, single = twice.observe(), [Problem.observe(replace_batch(twice, b)) for b in range(2)]
    losses = [estimator.expected(*one).loss for one in single]
    torch.testing.assert_close(estimator.expected(*both).loss, sum(losses) / 2)


def replace_batch(problem: Problem, scene: int) -> Problem:
    """The same problem with one scene of its batch."""
    noise = type(problem.noise)(problem.noise.where[scene : scene + 1], problem.noise.what[scene : scene + 1])
    return Problem(problem.model, problem.canvas[scene : scene + 1], noise, problem.log_p)


def test_the_perfect_baseline_of_one_decision_leaves_no_variance(tiny_config: Tiny) -> None:
    """For N = 1, b = p s(0) + (1 - p) s(1) makes both samples the exact gradient in the logit."""
    problem = Problem.of(tiny_config("model.num_steps=1"))
    objects, terms = problem.observe()
    s0, s1 = (per_step_signal(terms, torch.tensor([n]))[0, 0].item() for n in (0, 1))
    p = objects.logits.sigmoid().item()

    def variance(b: float) -> float:
        estimator = ScoreFunction(per_step_signal, Given(torch.tensor([b], dtype=torch.float64)))
        return total_variance(*enumerated(problem, estimator, of_logits=True))

    assert variance(p * s0 + (1 - p) * s1) < 1e-18 * variance(0.0)
    assert variance(p * s1 + (1 - p) * s0) > 1e-12 * variance(0.0), "the mean signal is not the perfect baseline"


def optimal_baseline(problem: Problem) -> Tensor:
    """b_i = E[s_i g_i^2] / E[g_i^2], g_i = d log q(z_i) / d logit_i over the counts that draw decision i, [N]."""
    objects, terms = problem.observe()
    q = terms.log_q.detach().exp()[0]
    above, below = torch.zeros(2, 3, dtype=torch.float64).unbind(0)
    for n in range(4):
        counts = torch.tensor([n])
        drawn, present = terms.code.decisions(counts)
        squared = (drawn * (present.double() - objects.logits.sigmoid())).square()[0].detach() * q[n]
        above, below = above + squared * per_step_signal(terms, counts)[0].detach(), below + squared
    return above / below


def test_the_optimal_baseline_has_the_least_variance(tiny_config: Tiny) -> None:
    """b* has lower variance than none and than b* moved either way in any step; -b* has more than none."""
    problem = Problem.of(tiny_config())
    best = optimal_baseline(problem)

    def variance(b: Tensor) -> float:
        return total_variance(*enumerated(problem, ScoreFunction(per_step_signal, Given(b)), of_logits=True))

    least = variance(best)
    assert least < 0.1 * variance(torch.zeros(3, dtype=torch.float64))
    for move in torch.cat([torch.eye(3), -torch.eye(3)]).double():
        assert variance(best + move) > least
    assert variance(-best) > variance(torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(4))
def test_a_baseline_near_the_signal_lowers_the_variance_of_the_whole_gradient(tiny_config: Tiny, seed: int) -> None:
    """In all parameters, path-wise part included, the optimal baseline beats none."""
    problem = Problem.of(tiny_config(), seed=seed)
    with_baseline = ScoreFunction(per_step_signal, Given(optimal_baseline(problem)))
    without = ScoreFunction(per_step_signal, NoBaseline())
    assert total_variance(*enumerated(problem, with_baseline)) < total_variance(*enumerated(problem, without))


@pytest.mark.parametrize("seed", range(4))
def test_per_step_credit_lowers_the_variance(tiny_config: Tiny, seed: int) -> None:
    """A decision that is not charged for what earlier steps cost has a gradient of lower variance and the same mean."""
    problem = Problem.of(tiny_config(), seed=seed)
    per_step = enumerated(problem, ScoreFunction(per_step_signal, NoBaseline()))
    whole = enumerated(problem, ScoreFunction(whole_signal, NoBaseline()))
    torch.testing.assert_close(mean(*per_step), mean(*whole), rtol=1e-8, atol=1e-8)
    assert total_variance(*per_step) < total_variance(*whole)


def test_per_step_credit_is_the_elbo_of_what_follows(tiny_config: Tiny) -> None:
    """signal_i is log p(x | n) - KL of steps i..n + log p(n | n >= i - 1) - log q(n | n >= i - 1), computed naively."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe()
    kl, q, p = (objects.kl_where + objects.kl_what)[0], terms.log_q.exp()[0], problem.log_p.exp()
    for n in range(4):
        signal = per_step_signal(terms, torch.tensor([n]))[0]
        for i in range(min(n + 1, 3)):  # the decisions that are drawn
            expected = (
                terms.log_likelihood[0, n] - kl[i:n].sum() + (p[n] / p[i:].sum()).log() - (q[n] / q[i:].sum()).log()
            )
            torch.testing.assert_close(signal[i], expected, rtol=1e-10, atol=1e-8)
