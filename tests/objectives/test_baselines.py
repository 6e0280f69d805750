"""Baselines: what they may read, what they may move, and that they learn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from laws import Problem, enumerated, is_moved_by_the_model, leaks, learns, mean, neural, relative_bias, total_variance
from torch import Tensor

from airctl.config import Config
from airctl.model import Objects, Unary
from airctl.objectives import MovingAverage, NeuralBaseline, NoBaseline, ScoreFunction, per_step_signal

Tiny = Callable[..., Config]


class Leaking(NeuralBaseline):
    """Reads the latents without detaching them."""

    def read(self, objects: Objects) -> Tensor:
        return super().read(objects) + objects.z_what.sum(-1)


class Disconnected(NeuralBaseline):
    """Its predictions are detached, so that its loss teaches nothing."""

    def read(self, objects: Objects) -> Tensor:
        return super().read(objects).detach()


class HalfDisconnected(NeuralBaseline):
    """Its last layer is taught and the LSTM below it is not."""

    def read(self, objects: Objects) -> Tensor:
        handle = self.cell.register_forward_hook(lambda *call: tuple(part.detach() for part in call[-1]))
        predictions = super().read(objects)
        handle.remove()
        return predictions


@pytest.mark.parametrize("mask", ["previous", "current"])
def test_fitting_the_baseline_does_not_move_the_model(tiny_config: Tiny, mask: str) -> None:
    """baseline_loss has no gradient in any of the model's parameters."""
    config = tiny_config()
    assert not leaks(Problem.of(config), ScoreFunction(per_step_signal, neural(config, mask)))


def test_a_leaking_baseline_is_caught(tiny_config: Tiny) -> None:
    """Negative control: with latents that are not detached, the check above fails."""
    config = tiny_config()
    assert leaks(Problem.of(config), ScoreFunction(per_step_signal, neural(config, "previous", Leaking)))


@pytest.mark.parametrize("mask", ["previous", "current"])
@pytest.mark.parametrize("kind", [NeuralBaseline, Leaking])
def test_training_the_model_does_not_move_the_baseline(
    tiny_config: Tiny, mask: str, kind: type[NeuralBaseline]
) -> None:
    """The model's loss has no gradient in the baseline's parameters, and none through a baseline that would leak."""
    config = tiny_config()
    problem = Problem.of(config)
    estimator = ScoreFunction(per_step_signal, neural(config, mask, kind))
    assert not is_moved_by_the_model(problem, estimator)
    if mask == "previous":
        assert relative_bias(problem, estimator) < 1e-8


@pytest.mark.parametrize("mask", ["previous", "current"])
def test_every_parameter_of_the_baseline_is_taught(tiny_config: Tiny, mask: str) -> None:
    """baseline_loss reaches both of the LSTM's matrices and the head."""
    config = tiny_config()
    assert learns(Problem.of(config), ScoreFunction(per_step_signal, neural(config, mask)))


@pytest.mark.parametrize("kind", [Disconnected, HalfDisconnected])
def test_a_disconnected_baseline_is_caught(tiny_config: Tiny, kind: type[NeuralBaseline]) -> None:
    """Negative control: detached predictions, or a detached LSTM under a live head, fail the check above."""
    config = tiny_config()
    assert not learns(Problem.of(config), ScoreFunction(per_step_signal, neural(config, "previous", kind)))


def test_the_baselines_parameters_can_be_found_for_its_optimiser(tiny_config: Tiny) -> None:
    """``modules`` holds the baseline: nothing that is taught is left out of the optimiser and the checkpoint."""
    config = tiny_config()
    baseline = neural(config, "previous")
    estimator = ScoreFunction(per_step_signal, baseline)
    assert {id(p) for p in estimator.modules.parameters()} == {id(p) for p in baseline.parameters()}
    average = ScoreFunction(per_step_signal, MovingAverage(3))
    assert set(average.modules.state_dict()) == {"baseline.mean", "baseline.seen"}


def test_a_fitted_baseline_lowers_the_variance(tiny_config: Tiny) -> None:
    """150 steps on its own loss from an untrained start: smaller error, and a sampled gradient of lower variance."""
    config = tiny_config()
    problem = Problem.of(config)
    torch.manual_seed(0)
    baseline = NeuralBaseline(12, 4, 5, "previous").double()
    estimator = ScoreFunction(per_step_signal, baseline)
    before = total_variance(*enumerated(problem, estimator))
    objects, terms = problem.observe(repeat=16)
    optimiser, generator = torch.optim.Adam(baseline.parameters(), lr=1.0), torch.Generator().manual_seed(0)
    losses = []
    for _ in range(150):
        loss = estimator(objects, terms, generator).baseline_loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert total_variance(*enumerated(problem, estimator)) < 0.1 * before
    assert relative_bias(problem, estimator) < 1e-8


def test_baseline_loss_is_the_mean_squared_error_of_the_decisions_drawn(tiny_config: Tiny) -> None:
    """Mean over a scene's own decisions, then over scenes; a decision never drawn is no target."""
    problem = Problem.of(tiny_config(), batch=2)
    objects, terms = problem.observe()
    estimator = ScoreFunction(per_step_signal, NoBaseline())
    counts = torch.tensor([0, 2])
    signal = per_step_signal(terms, counts)
    expected = (signal[0, :1].square().mean() + signal[1].square().mean()) / 2
    torch.testing.assert_close(estimator.given(objects, terms, counts).baseline_loss, expected.detach())
    assert not torch.isclose(expected, signal.square().mean(), rtol=1e-6)


def test_the_neural_baseline_never_sees_the_decision_it_is_for(tiny_config: Tiny) -> None:
    """With mask previous, b_i is a function of x and z_<i: neither the count nor z_where_i changes it."""
    config = tiny_config()
    objects = Problem.of(config).observe()[0]
    baseline = neural(config, "previous")
    predictions = baseline(objects, torch.tensor([0]))
    assert torch.equal(predictions, baseline(objects, torch.tensor([3])))
    z_where = objects.z_where.detach().clone()
    z_where[:, 1] += 1.0
    moved = baseline(type(objects)(**{**vars(objects), "z_where": z_where}), torch.tensor([0]))
    assert torch.equal(moved[:, :2], predictions[:, :2])
    assert (moved[:, 2] - predictions[:, 2]).abs().min() > 1e-6, "it does read the step before"


def test_the_reports_f_has_two_layers_and_all_of_it_is_taught(tiny_config: Tiny) -> None:
    """head hidden units between the LSTM's state and f; by default f is linear, and its state is as it was."""
    config = tiny_config()
    torch.manual_seed(0)
    baseline = NeuralBaseline(12, 4, 5, "current", head=6).double()
    assert [tuple(p.shape) for p in baseline.head.parameters()] == [(6, 5), (6,), (1, 6), (1,)]
    assert learns(Problem.of(config), ScoreFunction(per_step_signal, baseline))
    assert not leaks(Problem.of(config), ScoreFunction(per_step_signal, baseline))
    assert set(NeuralBaseline(12, 4, 5, "current").head.state_dict()) == {"weight", "bias"}


def test_the_current_mask_is_the_reports_sum(tiny_config: Tiny) -> None:
    """C(x) = sum_i f_i z_pres_i, the same for every decision."""
    config = tiny_config()
    objects = Problem.of(config).observe()[0]
    f = neural(config, "previous")(objects, torch.tensor([0]))[0]
    for n in range(4):
        predictions = neural(config, "current")(objects, torch.tensor([n]))[0]
        torch.testing.assert_close(predictions, f[:n].sum().expand(3))


def test_an_unknown_mask_is_refused() -> None:
    """Two masks are known, and a third is not taken for one of them."""
    with pytest.raises(ValueError, match="'previous' or 'current'"):
        NeuralBaseline(12, 4, 5, "next")


def rollout_of(logits: Tensor) -> Objects:
    return Objects(**{**dict.fromkeys(Objects.__dataclass_fields__), "logits": logits, "code": Unary(logits.shape[1])})


def test_moving_average_is_the_decayed_mean_of_what_was_drawn() -> None:
    """After k batches it predicts sum_j decay^(k-j) m_j / sum_j decay^(k-j): no pull towards its zero start."""
    baseline = MovingAverage(2, decay=0.5).double()
    objects = rollout_of(torch.zeros(2, 2, dtype=torch.float64))
    drawn = torch.tensor([[True, True], [True, False]])
    signals = torch.tensor([[[-10.0, -30], [-20, 999]], [[-40.0, -50], [-60, 999]]], dtype=torch.float64)
    baseline.observe(signals[0], drawn)
    first = baseline(objects, torch.zeros(2))
    torch.testing.assert_close(first, torch.tensor([[-15.0, -30.0]] * 2).double())
    baseline.observe(signals[1], drawn)
    expected = torch.tensor([(0.5 * -15 + -50) / 1.5, (0.5 * -30 + -50) / 1.5]).double()
    torch.testing.assert_close(baseline(objects, torch.zeros(2)), expected.expand(2, 2))


def test_moving_average_keeps_a_step_that_no_scene_reached() -> None:
    """A decision that was drawn nowhere keeps its mean, and one never drawn predicts 0."""
    baseline = MovingAverage(3).double()
    objects = rollout_of(torch.zeros(1, 3, dtype=torch.float64))
    signal = torch.tensor([[-7.0, -8.0, -9.0]], dtype=torch.float64)
    baseline.observe(signal, torch.tensor([[True, True, False]]))
    baseline.observe(signal - 1, torch.tensor([[True, False, False]]))
    predictions = baseline(objects, torch.zeros(1))[0].tolist()
    assert -8 < predictions[0] < -7
    assert predictions[1:] == pytest.approx([-8.0, 0.0])


def test_moving_average_learns_in_training_mode_only_and_after_predicting(tiny_config: Tiny) -> None:
    """Its first surrogate is that of no baseline, its second is not; in eval mode its memory stands still."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe()
    counts = torch.tensor([2])
    baseline = MovingAverage(3).double()
    estimator, plain = ScoreFunction(per_step_signal, baseline), ScoreFunction(per_step_signal, NoBaseline())
    without = plain.given(objects, terms, counts).loss
    torch.testing.assert_close(estimator.given(objects, terms, counts).loss, without)
    assert (estimator.given(objects, terms, counts).loss - without).abs() > 1
    baseline.eval()
    before = F.pad(baseline.mean, (0, 0))
    estimator.given(objects, terms, torch.tensor([0]))
    assert torch.equal(before, baseline.mean)


def test_moving_average_lowers_the_variance(tiny_config: Tiny) -> None:
    """Filled with the signals of one sampled batch it beats no baseline, and leaves the mean gradient alone."""
    problem = Problem.of(tiny_config())
    objects, terms = problem.observe(repeat=64)
    baseline = MovingAverage(3).double()
    estimator = ScoreFunction(per_step_signal, baseline)
    estimator(objects, terms, torch.Generator().manual_seed(0))
    baseline.eval()
    none = enumerated(problem, ScoreFunction(per_step_signal, NoBaseline()))
    some = enumerated(problem, estimator)
    assert total_variance(*some) < 0.2 * total_variance(*none)
    torch.testing.assert_close(mean(*some), mean(*none), rtol=1e-8, atol=1e-8)
