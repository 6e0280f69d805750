"""Labels: the bound of log p(x, n), what is left of q, the lesson of q(n), and whose box is whose. In float64."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from airctl.config import override, preset
from airctl.errors import ConfigError
from airctl.model import AIR, Noise, Objects, Subsets, Unary
from airctl.objectives import Defensive, Exact, Labelled, Labels, Marginal, Share, Temperature, Terms, terms_of
from airctl.objectives.importance import log_posterior, log_prior
from airctl.objectives.labelled import boxes_loss, given, matching, poses_loss, require_summed_out

SIZES = ("model.canvas=16", "model.glimpse=5", "model.what=3", "model.glimpse_hidden=6", "model.num_steps=3")
SMALL = {
    "fast": (*SIZES, "model.object_size=8", "likelihood.sd=0.6"),
    "recurrent": (*SIZES, "likelihood.sd=0.6", "network.hidden=8", "network.predict_hidden=8"),
}
BOTH = pytest.mark.parametrize("name", SMALL)
SOME = torch.tensor([2, -1, 0])  # known, unknown, known to be empty


def model_of(name: str) -> AIR:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AIR(override(preset(name), SMALL[name])).double()


def observed(model: AIR, samples: int = 1, batch: int = 3, seed: int = 1) -> tuple[Objects, Terms]:
    canvas = torch.rand(batch, 16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise = model.noise(batch * samples, torch.Generator().manual_seed(seed))
    objects = model(canvas, Noise(noise.where.double(), noise.what.double()))
    return objects, terms_of(objects, model.count(3), model.likelihood)


def every(n: int, terms: Terms) -> Terms:
    """The terms if every scene had n objects."""
    return given(terms, torch.full((len(terms.log_q),), n))


def marginal(weight: float = 0.0) -> Marginal:
    return Marginal(Temperature(1.0, 1.0, 0), weight)


def nothing() -> torch.Generator:
    return torch.Generator()


@BOTH
def test_the_labelled_bounds_of_all_counts_sum_to_the_unlabelled_one(name: str) -> None:
    """sum_n p(x, n) = p(x), of the value that marginal climbs; without the likeliest count it is less."""
    objects, terms = observed(model_of(name))
    each = torch.stack([marginal()(objects, every(n, terms), nothing()).elbo for n in range(4)], 1)
    whole = marginal()(objects, terms, nothing()).elbo
    torch.testing.assert_close(each.logsumexp(1), whole)
    likeliest = each.argmax(1, keepdim=True)
    assert (each.scatter(1, likeliest, -math.inf).logsumexp(1) < whole - 1e-3).all()


@BOTH
def test_what_is_left_of_q_is_a_distribution_over_the_codewords_of_that_count(name: str) -> None:
    """q(k | n) = q(k) / q(n): it sums to 1, has no other codeword, and with q(n) gives q back."""
    _, terms = observed(model_of(name))
    q = torch.zeros_like(terms.log_q)
    for n in range(4):
        left = every(n, terms).log_q.exp()
        torch.testing.assert_close(left.sum(1), torch.ones(3, dtype=torch.float64))
        assert not left[:, terms.code.counts != n].any()
        q = q + left * terms.log_count[:, n, None].exp()
    torch.testing.assert_close(q, terms.log_q.exp())


@BOTH
def test_scenes_that_nobody_has_counted_keep_their_terms(name: str) -> None:
    """To the last bit, for every estimator; those beside them, which are known, do not."""
    objects, terms = observed(model_of(name))
    mixed = given(terms, SOME)
    for field in ("log_q", "bracket", "log_w", "elbo"):
        assert torch.equal(getattr(mixed, field)[1], getattr(terms, field)[1])
        assert not torch.equal(getattr(mixed, field)[0], getattr(terms, field)[0])
    unknown = given(terms, torch.full((3,), -1))
    defensive = Defensive(Share(0.1, 10))
    defensive.modules.eval()  # its share stays
    for estimator in (marginal(30.0), Exact(), defensive):
        loss = estimator(objects, terms, nothing()).loss
        assert torch.equal(estimator(objects, unknown, nothing()).loss, loss)
        assert not torch.equal(estimator(objects, mixed, nothing()).loss, loss)
    told = Labelled(3.0)(model_of(name), objects, terms, Labels(torch.full((3,), -1)))[1]
    assert told == 0


@BOTH
def test_the_labelled_bound_lies_below_log_p_of_x_and_n(name: str) -> None:
    """With sampled log ratios, against 5 000 importance samples; the bound of another count does not lie below it."""
    with torch.no_grad():
        objects, terms = observed(model_of(name), samples=5000)
        ratio = terms.code.sums(log_prior(objects) - log_posterior(objects))
        sampled = replace(terms, kl=-ratio)
        bounds = torch.stack([every(n, sampled).log_w.logsumexp(1).unflatten(0, (3, 5000)) for n in range(4)])
        tight = bounds.logsumexp(2) - math.log(5000)  # [4, 3] log p(x, n)
        assert (bounds.mean(2) <= tight + 1e-9).all()
        assert (bounds.mean(2)[1:] < tight[1:]).all()
        elbo = every(2, sampled).elbo.unflatten(0, (3, 5000)).mean(1)
        assert (elbo <= bounds[2].mean(1) + 1e-9).all(), "q(k | n) only loosens it"
        order = tight.argsort(0)
        highest, lowest = bounds.mean(2).gather(0, order[3:]), tight.gather(0, order[:1])
        assert (highest > lowest).all(), "the check can fail"


@BOTH
@pytest.mark.parametrize("estimator", [marginal(), Exact()], ids=["marginal", "exact"])
def test_the_gradient_is_the_slope_of_bound_and_lesson(name: str, estimator: Marginal | Exact) -> None:
    """Central differences along random directions of all parameters but those that choose; unlabelled it is another."""
    model = model_of(name)
    parameters = [*model.decoder.parameters(), *model.encoder.parameters(), *model.network.presence_parameters()]

    def loss(labels: Labels) -> Tensor:
        objects, terms = observed(model)
        terms, told = Labelled(2.0)(model, objects, terms, labels)
        return estimator(objects, terms, nothing()).loss + told

    def slopes(labels: Labels) -> Tensor:
        return torch.nn.utils.parameters_to_vector(torch.autograd.grad(loss(labels), parameters))

    gradient, other = slopes(Labels(SOME)), slopes(Labels(torch.full((3,), -1)))
    before = torch.nn.utils.parameters_to_vector(parameters).detach()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = torch.randn(len(before), generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-7, -1e-7):
                torch.nn.utils.vector_to_parameters(before + step * direction, parameters)
                values.append(loss(Labels(SOME)))
            torch.nn.utils.vector_to_parameters(before, parameters)
        slope = (values[0] - values[1]).item() / 2e-7
        assert slope == pytest.approx((gradient @ direction).item(), rel=1e-5, abs=1e-5)
        assert slope != pytest.approx((other @ direction).item(), rel=1e-2)


def test_the_lesson_is_log_q_of_n() -> None:
    """By hand: the products of the decisions; for subsets, summed over the sets of that many."""
    model = model_of("recurrent")
    objects, terms = observed(model)
    p = objects.logits.sigmoid()
    expected = -(p[0, 0] * p[0, 1] * (1 - p[0, 2])).log() - (1 - p[2, 0]).log()
    torch.testing.assert_close(Labelled(3.0)(model, objects, terms, Labels(SOME))[1], expected)

    model = model_of("fast")
    objects, terms = observed(model)
    p, absent = objects.logits.sigmoid(), 1 - objects.logits.sigmoid()
    pairs = sum(p[0, i] * p[0, j] * absent[0, 3 - i - j] for i, j in ((0, 1), (0, 2), (1, 2)))
    assert isinstance(pairs, Tensor)
    expected = -pairs.log() - absent[2].log().sum()
    torch.testing.assert_close(Labelled(3.0)(model, objects, terms, Labels(SOME))[1], expected)


@BOTH
def test_q_of_n_is_the_convolution_of_independent_decisions_or_their_product(name: str) -> None:
    """Subsets have the Poisson-binomial, here by convolution; the unary code has another q(n)."""
    objects, terms = observed(model_of(name))
    convolved = torch.ones(3, 1, dtype=torch.float64)
    for p in objects.logits.sigmoid().unbind(1):
        grown = torch.zeros(3, convolved.shape[1] + 1, dtype=torch.float64)
        grown[:, :-1] += convolved * (1 - p)[:, None]
        grown[:, 1:] += convolved * p[:, None]
        convolved = grown
    assert torch.allclose(terms.log_count.exp(), convolved) == (name == "fast")


def test_the_matching_has_the_lowest_cost_of_all_and_knows_the_code() -> None:
    """Against every permutation; of the unary code the first n objects have a box each, whatever the others cost."""
    cost = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    numbers = torch.tensor([0, 1, 2, 3, 3])
    present = torch.arange(3) < numbers[:, None]
    for code in (Subsets(4), Unary(4)):
        matched = matching(cost, present, code)
        assert torch.equal(matched.sum(1), present.double())
        assert matched.sum(2).max() == 1
        for scene, n in enumerate(numbers.tolist()):
            may = range(n) if isinstance(code, Unary) else range(4)
            best = min(sum(float(cost[scene, i, j]) for j, i in enumerate(one)) for one in permutations(may, n))
            assert float((matched * cost)[scene].sum()) == pytest.approx(best)
    assert not torch.equal(matching(cost, present, Subsets(4)), matching(cost, present, Unary(4)))


@BOTH
def test_boxes_pull_the_matched_poses_and_nothing_of_an_unknown_scene(name: str) -> None:
    """0 only where each edge is where it is said to be, more the further away; unknown scenes are silent."""
    model = model_of(name)
    objects, _ = observed(model)
    at = objects.boxes.detach()[:, :2]
    middle, side = (at[..., :2] + at[..., 2:]) / 2, (at[..., 2:] - at[..., :2])[..., :1]
    ink = torch.cat([middle - side / 2.16, middle + side / 2.16], -1)  # a pose's side is 1.08 times its ink's
    counts = torch.tensor([2, -1, -1])

    def pull(boxes: Tensor) -> float:
        return poses_loss(objects, Labels(counts, boxes)).item()

    assert pull(ink) == pytest.approx(0, abs=1e-9)
    near, far = (pull(ink + torch.tensor([d, 0.0, d, 0.0])) for d in (0.2, 0.4))
    assert 0 < near < far
    elsewhere = ink.clone()
    elsewhere[1:] += 5
    assert pull(elsewhere) == pytest.approx(0, abs=1e-9)


def test_the_map_is_taught_where_the_objects_are() -> None:
    """A step down the slope of the lesson raises the logit of the cell of a box above that of an empty corner."""
    model = model_of("fast")
    objects, _ = observed(model, batch=1)
    labels = Labels(torch.tensor([1]), torch.tensor([[[9, 9, 14, 14]]]))
    optimiser = torch.optim.Adam(model.network.map.parameters(), 1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        boxes_loss(model, replace(objects, z_where=objects.z_where.detach()), labels).backward()
        optimiser.step()
    logits = model.network.map(objects.canvas).logits[0]
    assert logits[5, 5] > logits[1, 1] + 1


def test_estimators_that_sample_the_count_are_refused() -> None:
    """One sentence, with those that are fine."""
    require_summed_out("marginal")
    with pytest.raises(
        ConfigError, match=r"objective\.estimator=rloo cannot be told counts: expected one that sums .*exact, defensive"
    ):
        require_summed_out("rloo")
