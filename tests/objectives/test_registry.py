"""The table of estimators: every name works, and a misspelt one gets help."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from airctl.config import PRESETS, Config
from airctl.errors import ConfigError
from airctl.model import AIR, Gaussian, truncated_geometric
from airctl.objectives import ESTIMATORS, ScoreFunction, estimator, observe, per_step_signal, terms_of

Tiny = Callable[..., Config]


@pytest.mark.parametrize("kind", ["raw", "conv"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_builds_runs_and_teaches_the_model(tiny_config: Tiny, name: str, kind: str) -> None:
    """In float32, as training uses it: a finite loss with a finite gradient, and the ELBO that all of them report."""
    torch.manual_seed(0)
    config = tiny_config(f"network.embedding={kind}")
    model, built = AIR(config), estimator(name, config)
    objects = observe(model, torch.rand(4, 12, 12), built, torch.Generator().manual_seed(0))
    terms = terms_of(objects, truncated_geometric(0.01, 3), Gaussian(0.3))
    surrogate = built(objects, terms, torch.Generator().manual_seed(1))
    surrogate.loss.backward(retain_graph=True)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.network.predict.parameters())
    assert surrogate.loss.shape == surrogate.baseline_loss.shape == ()
    assert surrogate.baseline_loss.isfinite()
    assert not surrogate.elbo.requires_grad
    bound = terms.log_w.logsumexp(1) if name.startswith("marginal") else terms.elbo  # of another objective
    torch.testing.assert_close(surrogate.elbo, bound.detach())


@pytest.mark.parametrize("logit", [-200.0, -30.0, 30.0, 200.0])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradients_are_finite_where_q_is_certain(tiny_config: Tiny, name: str, logit: float) -> None:
    """In float32, with every z_pres all but 0 or all but 1: what a long training does to most scenes."""
    torch.manual_seed(0)
    config = tiny_config(f"network.present_bias={logit}")
    model, built = AIR(config), estimator(name, config)
    objects = observe(model, torch.rand(4, 12, 12), built, torch.Generator().manual_seed(0))
    terms = terms_of(objects, truncated_geometric(1e-7, 3), Gaussian(0.3))
    surrogate = built(objects, terms, torch.Generator().manual_seed(1))
    (surrogate.loss + surrogate.baseline_loss).backward()
    assert surrogate.loss.isfinite()
    assert surrogate.baseline_loss.isfinite()
    learnt = [*model.parameters(), *built.modules.parameters()]
    assert all(p.grad is None or p.grad.isfinite().all() for p in learnt)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimators_randomness_comes_from_the_generator_alone(tiny_config: Tiny, name: str) -> None:
    """The same generator gives the same loss, whatever torch's global state."""
    config = tiny_config()
    torch.manual_seed(0)
    model = AIR(config)
    objects = model(torch.rand(32, 12, 12), model.mean_noise(32))
    terms = terms_of(objects, truncated_geometric(0.01, 3), Gaussian(0.3))
    losses = []
    for global_seed in (1, 2):
        torch.manual_seed(5)  # the same weights of the baseline, if it has any
        built = estimator(name, config)
        torch.manual_seed(global_seed)
        losses.append(built(objects, terms, torch.Generator().manual_seed(3)).loss.item())
    assert losses[0] == losses[1]


def test_a_misspelt_estimator_gets_the_nearest_name(tiny_config: Tiny) -> None:
    """The error names what was asked for and what may have been meant."""
    with pytest.raises(ConfigError, match=r"no estimator 'score-functoin'.*did you mean 'score-function'"):
        estimator("score-functoin", tiny_config())
    with pytest.raises(ConfigError, match=r"no estimator 'zzzzzz'.*exact"):
        estimator("zzzzzz", tiny_config())


@pytest.mark.parametrize("name", PRESETS)
def test_every_presets_estimator_is_in_the_table(name: str) -> None:
    """No preset names an estimator that does not exist."""
    assert PRESETS[name].objective.estimator in ESTIMATORS


def test_the_papers_and_the_reports_estimators_differ_in_signal_and_mask(tiny_config: Tiny) -> None:
    """score-function-neural is unbiased by construction (previous, per step); report-2019 is the report's own."""
    paper, report = (estimator(name, tiny_config()) for name in ("score-function-neural", "report-2019"))
    assert isinstance(paper, ScoreFunction)
    assert isinstance(report, ScoreFunction)
    assert (paper.signal, paper.baseline.mask) == (per_step_signal, "previous")
    assert report.signal is not per_step_signal
    assert report.baseline.mask == "current"
