"""A search for another arrangement of objects where the best one so far leaves too much of a scene unexplained.

A move takes up to two of the objects away, lets the inference network look at what the others leave of the scene, and
puts up to two of the objects that it sees there in their place. What is left has few objects, as the scenes that the
network was trained on, so a move can find what one look at the whole scene did not: the two digits under one glimpse,
or a third digit where training had no more than two. In crowded scenes (``CROWDED``) objects are also put where what is
left has ink, whatever the network makes of it: of digits that overlap it may see one between them. The moves that
explain most before any gradient step climb their bound (``climb``), and the best of them is where the next round
starts. Reversible jumps without the dice: Green 1995; where to put an object: the data-driven proposals of Tu & Zhu
2002.

A model that is asked for more steps than it was trained with is shown more objects than it knows. Then they are not
doubted, and where a scene is still badly explained the network looks again at samples instead of its posterior means.

R scenes, H hypotheses of each, N objects at most, S sets of objects taken away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from airctl.inference.climb import Hypotheses, climb
from airctl.inference.effort import USUAL, Effort
from airctl.model import AIR, Noise
from airctl.model.posteriors import loc_and_sd

MEANS, SAMPLES = 3, 3  # rounds in which the network looks at its means, as long as that helps, and then at samples
STILL_UNEXPLAINED = 0.1  # share of a scene's squared brightness that may be left over in the former
STILL_BAD = 0.2  # and in the latter
MOST = 2  # objects that a move takes away, and puts in their place
APART = 0.3  # widths of an object from which on two places are likely to be of two objects
CLIMBING = 6  # moves of a round that climb
CROWD = 8  # objects; of more than these only one is taken away, as there are too many pairs
PIXELS = 20_000_000  # drawn at once, so that memory depends neither on how many scenes there are nor on their size


def rearrange(
    model: AIR, canvas: Tensor, found: Hypotheses, scores: Tensor, evidence: Tensor, effort: Effort = USUAL
) -> tuple[Hypotheses, Tensor]:
    """Better explanations than ``found`` of scenes ``canvas`` [R, D, D], where there are any.

    ``found`` [R, N, N] has the best explanation so far by 1, 2 .. N objects, and ``scores`` [R, N + 1] has their
    bounds (and that of no object) plus ``evidence`` [R, N + 1]. Returns both anew.
    """
    beyond_training = found.there.shape[2] > model.config.model.num_steps
    found, best = Hypotheses.of((part.clone() for part in found.parts), found.there.clone()), scores.clone()
    everyone = waiting = torch.arange(len(canvas), device=canvas.device)
    for turn in range(MEANS + (SAMPLES if beyond_training else 0)):
        if turn == MEANS:
            waiting = everyone
        now = of_count(found, waiting, best[waiting].argmax(1))
        left = canvas[waiting] - drawn(model, now, canvas.shape[-1]).sum(2)[:, 0]
        enough = STILL_UNEXPLAINED if turn < MEANS else STILL_BAD
        bad = left.square().sum((1, 2)) > enough * canvas[waiting].square().sum((1, 2))
        waiting = waiting[bad]
        if not len(waiting):
            continue
        noise, places = _noise(model, turn - MEANS, canvas.device), _places(effort.places, turn, canvas.device)
        improved = []
        looks = (1 + effort.places) * len(_sets(now.there[bad]))
        a_scene = (MOST + 1) * looks * found.there.shape[2] * canvas[0].numel()
        for rows in waiting.split(max(1, PIXELS // a_scene)):
            before = best[rows].amax(1)
            now = of_count(found, rows, best[rows].argmax(1))
            tried = best_moves(model, canvas[rows], now, evidence[rows], noise, places, effort.pairs)
            where, what, bounds = climb(model, canvas[rows], tried)
            reached = bounds + evidence[rows].gather(1, tried.there.sum(2))
            climbed = Hypotheses(where, what, tried.log_sd_where, tried.log_sd_what, tried.there)
            _keep_best(found, best, rows, climbed, reached)
            improved.append(rows[best[rows].amax(1) > before])
        if turn < MEANS:
            waiting = torch.cat(improved)
    if not beyond_training:
        more = torch.arange(scores.shape[1], device=canvas.device) - scores.argmax(1, keepdim=True)
        best = scores.maximum(best - effort.doubt * more.clamp_min(0))
    return found, best


def _keep_best(found: Hypotheses, best: Tensor, rows: Tensor, tried: Hypotheses, reached: Tensor) -> None:
    """Put into ``found`` [R, N, N] and ``best`` [R, N + 1] what ``tried`` in scenes ``rows`` reached more with."""
    for hypothesis, count in enumerate(tried.there.sum(2).unbind(1)):
        better = (count > 0) & (reached[:, hypothesis] > best[rows, count])
        won, count = rows[better], count[better]
        for old, new in zip((*found.parts, found.there), (*tried.parts, tried.there), strict=True):
            old[won, count - 1] = new[better, hypothesis]
        best[won, count] = reached[better, hypothesis]


def of_count(found: Hypotheses, rows: Tensor, counts: Tensor) -> Hypotheses:
    """Of the explanations by 1, 2 .. N objects in ``found`` those of scenes ``rows`` [S] by ``counts`` [S], [S, 1, N].

    By none there is no object.
    """
    slot, some = (counts - 1).clamp_min(0), (counts > 0)[:, None, None]
    return Hypotheses.of((part[rows, slot][:, None] for part in found.parts), found.there[rows, slot][:, None] & some)


def _noise(model: AIR, sample: int, device: torch.device) -> Noise:
    """For a look at the means if ``sample`` is negative. The same for all scenes: none depends on those beside it."""
    if sample < 0:
        return model.mean_noise(1, MOST)
    return model.noise(1, torch.Generator(device).manual_seed(sample), MOST)


def drawn(model: AIR, found: Hypotheses, side: int) -> Tensor:
    """What each object of ``found`` [R, H, N] draws at its means, [R, H, N, D, D]; nothing where there is none."""
    with torch.no_grad():
        _, pasted = model.draw(found.where.flatten(0, 1), found.what.flatten(0, 1), side)
    return pasted.unflatten(0, found.there.shape[:2]) * found.there[..., None, None]


def _places(number: int, turn: int, device: torch.device) -> Tensor:
    """Numbers between 0 and 1 [number, MOST] that choose places, other ones each turn, the same for all scenes."""
    return torch.rand(number, MOST, generator=torch.Generator(device).manual_seed(turn), device=device)


def best_moves(
    model: AIR, canvas: Tensor, now: Hypotheses, evidence: Tensor, noise: Noise, places: Tensor, pairs: int
) -> Hypotheses:
    """Of the moves from ``now`` [R, 1, N] those with the best bounds before any step, [R, CLIMBING, N]."""
    tried = moves(model, canvas, now, noise, places)
    bounds = climb(model, canvas, tried, steps=0, pairs=pairs)[2] + evidence.gather(1, tried.there.sum(2))
    best = bounds.topk(min(CLIMBING, bounds.shape[1]), 1)[1]
    parts = [part.take_along_dim(best[..., None, None], 1) for part in tried.parts]
    return Hypotheses.of(parts, tried.there.take_along_dim(best[..., None], 1))


def moves(model: AIR, canvas: Tensor, now: Hypotheses, noise: Noise, places: Tensor) -> Hypotheses:
    """All moves from ``now`` [R, 1, N]; one that cannot be made, or changes nothing, has no object.

    The network looks with ``noise`` of one roll-out of MOST steps, and at the pairs of ``places`` (``_at_ink``).
    """
    number, device, sets = now.there.shape[2], canvas.device, _sets(now.there)
    kept = torch.ones(len(sets), number, dtype=torch.bool, device=device)
    for row, taken in enumerate(sets):
        kept[row, list(taken)] = False
    possible = (now.there | kept).all(2)  # [R, S] what is taken away is there
    keeps = now.there & kept  # [R, S, N]
    rest = canvas[:, None] - (drawn(model, now, canvas.shape[-1]) * keeps[..., None, None]).sum(2)
    rest = rest.clamp(0, 1).flatten(0, 1)
    with torch.no_grad():
        each = Noise(noise.where.expand(len(rest), -1, -1), noise.what.expand(len(rest), -1, -1))
        objects = model(rest, each)
        network = (
            objects.z_where,
            objects.z_what,
            loc_and_sd(objects.q_where)[1].log(),
            loc_and_sd(objects.q_what)[1].log(),
        )
        seen = [network, *_at_ink(model, rest, network[2], places)]
    first = torch.arange(len(seen) * len(sets), device=device) < len(sets)  # what needs no look is tried once
    possible, keeps = possible.repeat(1, len(seen)), keeps.repeat(1, len(seen), 1)  # now S = sets x looks
    # The N slots of what was there and the MOST of what is seen: those of a move come first, the others are cut off.
    slots = []
    for old, *each_look in zip(now.parts, *seen, strict=True):
        new = torch.cat([look.unflatten(0, (len(canvas), len(sets))) for look in each_look], 1)
        slots.append(torch.cat([old.expand(-1, len(first), -1, -1), new], 2))
    tried: list[Tensor] = []
    orders: list[Tensor] = []
    for fresh in range(MOST + 1):
        put = torch.arange(MOST, device=device) < fresh
        there = torch.cat([keeps, put.expand(*keeps.shape[:2], -1)], 2)
        fits = possible & (there.sum(2) <= number)
        if fresh == 0:
            fits = fits & first & ~kept.all(1).repeat(len(seen))
        order = there.int().argsort(dim=2, descending=True, stable=True)[..., :number]
        orders.append(order)
        tried.append(there.take_along_dim(order, 2) & fits[..., None])
    parts = [torch.cat([slot.take_along_dim(order[..., None], 2) for order in orders], 1) for slot in slots]
    return Hypotheses.of(parts, torch.cat(tried, 1))


def _at_ink(model: AIR, rest: Tensor, log_sd_where: Tensor, places: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Two objects for each of ``places`` [P, 2] in ``rest`` [L, D, D]: parameters of q, [L, 2, 3], [L, 2, C] and so on.

    A place is a pixel, the more likely the brighter. The second is away from the first, and what the first object draws
    is not seen at it.
    """
    side = rest.shape[-1]
    scale = model.prior.where_loc[:1].expand(len(rest), 1)  # [L, 1]
    pixels = pixel_places(side, rest.device)
    for numbers in places:
        left, ink, found = rest, rest.flatten(1), []
        for number in numbers:
            brightness = ink.cumsum(1)
            at = pixels[torch.searchsorted(brightness, number * brightness[:, -1:])[:, 0].clamp_max(side**2 - 1)]
            where = torch.cat([scale, scale * at], 1)
            q_what = model.look(left, where)[1]
            found.append((where, q_what.mean, loc_and_sd(q_what)[1].log()))
            left = (left - model.draw(where[:, None], q_what.mean[:, None], side)[1][:, 0]).clamp_min(0)
            widths = (pixels - at[:, None]).norm(dim=2) * scale / 2
            ink = ink * (1 - (-0.5 * (widths / APART).square()).exp())
        z_where, z_what, log_sd_what = (torch.stack(part, 1) for part in zip(*found, strict=True))
        yield z_where, z_what, log_sd_where, log_sd_what


def pixel_places(side: int, device: torch.device) -> Tensor:
    """The centre (x, y) of each pixel between -1 and 1, row by row, [D * D, 2]."""
    line = (torch.arange(side, device=device) * 2 + 1) / side - 1
    return torch.stack([line.repeat(side), line.repeat_interleave(side)], 1)


def _sets(there: Tensor) -> list[tuple[int, ...]]:
    """The slots that may be taken away together, of those where any scene has an object (``there`` [R, 1, N])."""
    seen = int(there.sum(2).amax())
    most = MOST if seen <= CROWD else 1
    return [taken for size in range(most + 1) for taken in itertools.combinations(range(seen), size)]
