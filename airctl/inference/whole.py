"""All objects of one picture of any size, from a model with a map of proposals.

The map is computed tile by tile and its best cells propose objects; each is cropped, encoded, drawn and pasted in a
window of its own; sets of objects are weighed block by block. Time and memory grow with the pixels and with the
proposals, never with their product or with pairs that do not overlap; only the convolution of counts grows with the
square of the proposals (``counts.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from airctl.errors import ConfigError
from airctl.inference.blocks import SetPosterior, of_sets, posterior
from airctl.inference.detections import INK
from airctl.inference.overlaps import overlapping, products
from airctl.inference.pieces import Weights
from airctl.inference.tiles import Candidates, candidates
from airctl.inference.verdict import DARK, inside
from airctl.model import AIR, Gaussian, InPixels, Proposals
from airctl.model.placed import ink_boxes
from airctl.model.posteriors import kl, normal
from airctl.model.proposals import CELL

TILE = 512  # pixels
AT_ONCE = 512  # proposals drawn at a time
_ROWS = 256  # of a picture, squared at a time
CROWD = 16  # proposals per square of an object's size, the most there may be on average


@dataclass(frozen=True)
class WholePicture:
    """What a model finds in a picture of H x W pixels; n objects, from top to bottom."""

    sets: SetPosterior  # p(n | x), n
    boxes: np.ndarray  # [n, 4] x0, y0, x1, y1 of the ink that is drawn for each object, pixels
    present: np.ndarray  # [n] probability of each object
    searched: np.ndarray  # bool [n] whether its neighbourhood was too crowded to be summed exactly
    drawn: np.ndarray  # float32 [H, W] the reconstruction
    fit: float  # share of the picture's squared brightness that it explains; 1 for a black picture
    around: np.ndarray  # [n, 2] left unexplained around each object: squared brightness, and its share of what is there
    left: float  # squared brightness left unexplained, per pixel
    at_limit: bool  # whether there were more proposals than are looked at: then the count is too low

    @property
    def count(self) -> int:
        """The most probable number of objects."""
        return self.sets.count


@dataclass(frozen=True)
class Proposed:
    """M proposals, drawn."""

    corner: Tensor  # int [M, 2] (y, x) of each window, pixels of the picture
    drawn: Tensor  # [M, W, W]
    glimpse: Tensor  # [M, 4] edges of the glimpse, pixels
    logits: Tensor  # [M] of the map
    kl: Tensor  # [M] of z_where and z_what, nats
    b: Tensor  # [M] <x, y_i>

    def boxes(self) -> Tensor:
        """Boxes of the ink, pixels [M, 4]; that of the glimpse where there is none."""
        ink = ink_boxes(self.drawn, INK)
        some = (ink[:, 2:] > ink[:, :2]).all(1, keepdim=True)
        return torch.where(some, (ink + self.corner.flip(1).repeat(1, 2)).to(self.glimpse), self.glimpse)


@torch.no_grad()
def find_in_whole(
    model: AIR, picture: Tensor, log_p: Callable[[int], Tensor] | None = None, tile: int = TILE
) -> WholePicture:
    """The objects of ``picture`` [H, W], pixels in [0, 1], of the type and on the device of the model.

    ``log_p`` gives log p(n) [M + 1] for M proposals, by default the model's own. ``ConfigError`` for a model whose
    network has no map, or whose likelihood is not Gaussian.
    """
    network = model.network
    if not isinstance(network, Proposals) or not isinstance(model.likelihood, Gaussian):
        raise ConfigError("whole pictures need a model with network.kind=proposals and likelihood.kind=gaussian")
    seen, at_limit = _most_likely(candidates(network, picture, tile), picture, model.config.model.object_size)
    proposed = _drawn(model, picture, seen)
    weights = _weights(proposed, model.likelihood.sd)
    weights = weights.blended(_numbers(proposed.logits), network.temperature)
    log_count = (log_p or model.count)(len(seen.cells))
    sets = posterior(weights, of_sets(_numbers(log_count), network.temperature))
    return _found(picture, proposed, sets, at_limit)


def _most_likely(seen: Candidates, picture: Tensor, size: float) -> tuple[Candidates, bool]:
    """As many of them as a picture may have, and whether there are more."""
    most = max(CROWD, int(CROWD * picture.numel() / size**2))
    if len(seen.cells) <= most:
        return seen, False
    return seen.at(seen.logits.topk(most).indices.sort().values), True


def _drawn(model: AIR, picture: Tensor, seen: Candidates) -> Proposed:
    """All proposals drawn, some at a time; each group needs only the part of the picture that it lies in."""
    parts = [_some_drawn(model, picture, some) for some in seen.groups(AT_ONCE)]
    parts = parts or [_nothing(model, picture)]
    return Proposed(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Proposed)))


def _some_drawn(model: AIR, picture: Tensor, seen: Candidates) -> Proposed:
    poses, settings = model.poses, model.config.model
    assert isinstance(poses, InPixels)
    # Each proposal has a frame of its own around its cell: what is drawn does not depend on where in the picture it is.
    pad = poses.window
    in_frame = seen.loc + seen.loc.new_tensor([0, pad, pad])
    windows = poses.windows(in_frame[None])
    shift = seen.cells * CELL - pad
    corner = windows.corner[0] + shift
    origin = corner.amin(0).clamp(min=0)
    (top, left), (low, right) = origin.tolist(), (corner.amax(0) + pad).tolist()
    patches = replace(windows, corner=(corner - origin)[None]).patches(picture[None, top:low, left:right])
    q_what: Distribution = model.what(model.encoder(windows.crop(patches, settings.glimpse)))
    z_what = model.what.sample(q_what, patches.new_zeros(1, len(corner), settings.what))
    drawn = windows.paste(model.decoder(z_what), 3 * pad, 3 * pad)[0]
    drawn = drawn * _inside(corner, pad, picture)
    # Objects cost what they cost in training, whatever the size of the picture: as many per area are expected.
    trained = picture.new_empty(settings.canvas, settings.canvas) if settings.canvas else picture
    cost = kl(normal(in_frame, seen.sd), poses.prior(trained), in_frame) + kl(q_what, model.prior(), z_what)[0]
    return Proposed(
        corner=corner,
        drawn=drawn,
        glimpse=poses.boxes(in_frame, picture) + shift.flip(1).repeat(1, 2),
        logits=seen.logits,
        kl=cost,
        b=torch.linalg.vecdot(patches[0].flatten(1), drawn.flatten(1)),
    )


def _nothing(model: AIR, picture: Tensor) -> Proposed:
    assert isinstance(model.poses, InPixels)
    side, none = model.poses.window, picture.new_zeros(0)
    corner = torch.zeros(0, 2, dtype=torch.long, device=picture.device)
    return Proposed(corner, picture.new_zeros(0, side, side), picture.new_zeros(0, 4), none, none, none)


def _inside(corner: Tensor, width: int, picture: Tensor) -> Tensor:
    """Which pixels of windows at ``corner`` [M, 2] are in the picture, bool [M, W, W]."""
    at = corner[..., None] + torch.arange(width, device=corner.device)  # [M, 2, W]
    rows, columns = ((at >= 0) & (at < at.new_tensor(picture.shape)[:, None])).unbind(1)
    return rows[:, :, None] & columns[:, None]


def _weights(proposed: Proposed, sd: float) -> Weights:
    pairs = overlapping(proposed.corner, proposed.drawn.shape[-1])
    gram = products(proposed.drawn, proposed.corner, pairs)
    squares = torch.linalg.vecdot(proposed.drawn.flatten(1), proposed.drawn.flatten(1))
    b, norms, cost = (_numbers(values) for values in (proposed.b, squares, proposed.kl))
    return Weights.gaussian(b, norms, cost, pairs.cpu().numpy(), _numbers(gram), sd)


def _numbers(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


def _found(picture: Tensor, proposed: Proposed, sets: SetPosterior, at_limit: bool) -> WholePicture:
    members = np.flatnonzero(sets.members)
    boxes = proposed.boxes()[torch.from_numpy(members).to(picture.device)].cpu().numpy()
    by_rows = np.lexsort((boxes[:, 0], boxes[:, 1]))
    order = members[by_rows]
    index = torch.from_numpy(order).to(picture.device)
    drawn = _painted(picture, proposed, index)
    squares = _around(picture, proposed, index, drawn).cpu().numpy()
    missed = _squares(picture, drawn)
    return WholePicture(
        sets=sets,
        boxes=boxes[by_rows],
        present=sets.present[order],
        searched=sets.searched[order],
        drawn=drawn.float().cpu().numpy(),
        fit=_fit(_squares(picture), missed),
        around=np.where(
            inside(proposed.glimpse[index], *picture.shape).cpu().numpy()[:, None],
            np.stack([squares, squares / np.maximum(_around(picture, proposed, index).cpu().numpy(), DARK)], 1),
            np.nan,
        ),
        left=missed / max(1, picture.numel()),
        at_limit=at_limit,
    )


def _painted(picture: Tensor, proposed: Proposed, index: Tensor) -> Tensor:
    """The sum of the objects ``index`` on a black picture, [H, W]."""
    height, width = picture.shape
    side = proposed.drawn.shape[-1]
    canvas = picture.new_zeros((height + 2 * side) * (width + 2 * side))
    step = torch.arange(side, device=picture.device)
    for some in torch.split(index, AT_ONCE):
        rows, columns = (proposed.corner[some] + side).unbind(1)
        places = (rows[:, None] + step)[..., None] * (width + 2 * side) + (columns[:, None] + step)[:, None]
        canvas.index_add_(0, places.flatten(), proposed.drawn[some].flatten())
    return canvas.view(height + 2 * side, width + 2 * side)[side:-side, side:-side]


def _around(picture: Tensor, proposed: Proposed, index: Tensor, drawn: Tensor | None = None) -> Tensor:
    """The sum of squares of ``picture`` - ``drawn`` [H, W] in the windows of the objects ``index`` [n], float64 [n].

    Windows are looked at some at a time: sums over whole pictures would need several of them in float64.
    """
    side = proposed.drawn.shape[-1]
    step, last = torch.arange(side, device=picture.device), index.new_tensor(picture.shape) - 1
    sums = [torch.zeros(0, dtype=torch.float64, device=picture.device)]
    for some in torch.split(index, AT_ONCE) if len(index) else ():
        corner = proposed.corner[some]
        rows, columns = torch.minimum((corner[..., None] + step).clamp(min=0), last[:, None]).unbind(1)
        places = rows[:, :, None], columns[:, None]
        left = picture[places] if drawn is None else picture[places] - drawn[places]
        sums.append((left.double().square() * _inside(corner, side, picture)).sum((1, 2)))
    return torch.cat(sums)


def _squares(picture: Tensor, drawn: Tensor | None = None) -> float:
    """The sum of squares of ``picture`` - ``drawn`` [H, W], some rows at a time."""
    total = 0.0
    for start in range(0, len(picture), _ROWS):
        rows = picture[start : start + _ROWS]
        left = rows if drawn is None else rows - drawn[start : start + _ROWS]
        total += float(left.double().square().sum())
    return total


def _fit(bright: float, missed: float) -> float:
    return 1 - missed / bright if bright > 0 else float(missed == 0)
