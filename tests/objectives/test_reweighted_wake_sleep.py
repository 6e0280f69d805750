"""Reweighted wake-sleep: the decoder climbs a bound, q its own objective, with a bias that falls as 1 / K."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from laws import Problem, all_counts, copied, gradient, mean
from torch import Tensor
from torch.distributions import Normal

from airctl.config import Config
from airctl.model import Gaussian, Objects, paste, truncated_geometric
from airctl.objectives import ReweightedWakeSleep, Terms, terms_of
from airctl.objectives.importance import log_weights

Tiny = Callable[..., Config]


def wake_sleep(config: Config, copies: int) -> ReweightedWakeSleep:
    return ReweightedWakeSleep(copies)


def held_roll_out(problem: Problem) -> tuple[Objects, Terms]:
    return problem.observe(held=True)


def log_q_of(problem: Problem, z_where: Tensor, z_what: Tensor, n: int) -> Tensor:
    """log q(z_where_1..n, z_what_1..n, n | x) of given numbers, by the paper's own recursion for one scene: []."""
    model, canvas = problem.model, problem.canvas
    projected = model.network.cell.constant(model.network.embedding(canvas))
    state, total = model.network.cell.first(projected), torch.zeros((), dtype=torch.float64)
    for i in range(len(z_where[0])):
        features = model.network.predict(state[0])
        q_where, logit = model.network.where(features), model.network.present(features)[:, 0] + 0.3
        if i == n:
            return total + torch.nn.functional.logsigmoid(-logit[0])
        q_what = model.look(canvas, z_where[:, i])[1]
        total = total + torch.nn.functional.logsigmoid(logit[0])
        total = total + q_where.log_prob(z_where[:, i]).sum() + q_what.log_prob(z_what[:, i]).sum()
        state = model.network.cell(projected, torch.cat([z_where[:, i], z_what[:, i]], 1), state)
    return total


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_gradient_is_that_of_log_p_and_log_q_at_fixed_samples(tiny_config: Tiny, n: int) -> None:
    """For equal weights: minus grad of log q computed by hand for numbers that are no function of q, and of log p."""
    config = tiny_config()
    problem = Problem.of(config)
    objects, terms = held_roll_out(problem)
    ours = gradient(wake_sleep(config, 1).given(objects, terms, torch.tensor([n])).loss, problem.parameters)
    z_where, z_what = objects.z_where.detach(), objects.z_what.detach()
    inference = gradient(-log_q_of(problem, z_where, z_what, n), problem.parameters)
    drawn = problem.model.decoder(z_what)
    canvas = paste(drawn[0], z_where[0], problem.canvas.shape[-1])[:n].sum(0)
    decoder = gradient(-Normal(canvas, 0.3).log_prob(problem.canvas[0]).sum(), problem.parameters)
    torch.testing.assert_close(ours, inference + decoder, rtol=1e-7, atol=1e-7)


def test_a_reparameterised_roll_out_is_caught(tiny_config: Tiny) -> None:
    """Negative control: without holding the samples the gradient of log q is another."""
    config = tiny_config()
    problem = Problem.of(config)
    held, free = (
        gradient(wake_sleep(config, 1).given(*both, torch.tensor([3])).loss, problem.parameters)
        for both in (held_roll_out(problem), problem.observe())
    )
    assert (held - free).norm() > 0.01 * held.norm()


def test_the_decoder_climbs_the_bound_of_k_samples(tiny_config: Tiny) -> None:
    """Over all outcomes of two counts the mean gradient of the decoder is that of E log (w_1 + w_2) / 2."""
    config = tiny_config()
    problem = copied(Problem.of(config), 2)
    decoder = list(problem.model.decoder.parameters())
    objects, terms = problem.observe()
    log_w, q = log_weights(objects, terms), terms.log_q.detach().exp()
    held, estimator = held_roll_out(problem), wake_sleep(config, 2)
    weights = torch.stack([q.gather(1, ns[:, None]).prod() for ns in all_counts(2)])
    bounds = torch.stack([log_w.gather(1, ns[:, None]).logsumexp(0)[0] for ns in all_counts(2)])
    truth = -gradient(weights @ bounds, decoder)
    ours = mean(torch.stack([gradient(estimator.given(*held, ns).loss, decoder) for ns in all_counts(2)]), weights)
    assert (ours - truth).norm() < 1e-8 * truth.norm()


def test_the_inference_networks_bias_falls_with_k(tiny_config: Tiny) -> None:
    """Given the objects, the limit is -grad sum_n p(n | x, z) log q(n): the mean for K = 1, 2, 3 comes nearer to it."""
    config = tiny_config()
    problem = Problem.of(config)

    def observe(copies: int) -> tuple[Objects, Terms]:
        objects = problem.observe(copies, held=True)[0]
        # In the tiny model's scenes one count outweighs all others; a wide likelihood gives each a share.
        return objects, terms_of(objects, truncated_geometric(0.5, 3), Gaussian(3.0))

    objects, terms = observe(1)
    log_w = log_weights(objects, terms)
    posterior = (terms.log_q + log_w).detach().softmax(1)
    limit = gradient(-(posterior * terms.log_q).sum(), [objects.logits])
    q = terms.log_q.detach().exp()[0]
    biases = []
    for copies in (1, 2, 3):
        both, estimator = observe(copies), wake_sleep(config, copies)
        rows = [gradient(estimator.given(*both, ns).loss, [both[0].logits]) for ns in all_counts(copies)]
        slopes = torch.stack(rows).unflatten(1, (copies, 3)).sum(1)
        biases.append(float((q[all_counts(copies)].prod(1) @ slopes - limit).norm() / limit.norm()))
    assert biases[0] > biases[1] > biases[2] > 1e-3


def test_each_part_teaches_its_own(tiny_config: Tiny) -> None:
    """log p teaches the decoder alone, log q everything but the decoder."""
    config = tiny_config()
    problem = copied(Problem.of(config), 3)
    loss = wake_sleep(config, 3).given(*held_roll_out(problem), torch.tensor([3, 2, 3])).loss
    for module in (
        problem.model.decoder,
        problem.model.encoder,
        problem.model.network.cell,
        problem.model.network.present,
    ):
        assert gradient(loss, list(module.parameters())).any()
    objects, terms = held_roll_out(problem)
    inference = [p for name, p in problem.model.named_parameters() if not name.startswith("decoder")]
    posterior = objects.q_where.log_prob(objects.z_where.detach()).sum() + terms.log_q.sum()
    assert not gradient(posterior, list(problem.model.decoder.parameters())).any()
    assert gradient(posterior, inference).any()
