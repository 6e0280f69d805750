"""p(x | the objects): from the mean of a scene to a distribution over its pixels.

The mean is the sum of the pasted objects: at least 0, and above 1 where bright objects overlap. A likelihood whose
parameter must stay below 1 says by which link it does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, ContinuousBernoulli, Distribution, Laplace, Normal, constraints

from airctl.batch import whole
from airctl.config import Config
from airctl.model.codes import Code
from airctl.model.placed import Layers
from airctl.model.posteriors import positive

LEVELS = 256  # of an 8-bit picture: level k is a brightness of k / 255
HALF = 0.5 / (LEVELS - 1)  # half the distance of two levels


class Likelihood(nn.Module, ABC):
    """Pixels are independent given the mean, which is the sum of the pasted objects."""

    @abstractmethod
    def forward(self, mean: Tensor) -> Distribution:
        """p(pixel | ``mean``), of the shape of ``mean``."""

    def log_prob(self, canvas: Tensor, mean: Tensor) -> Tensor:
        """log p(x | mean) in nats per scene, summed over the last two dimensions of ``canvas`` and ``mean``."""
        log_prob: Tensor = self(mean).log_prob(canvas)
        return log_prob.sum((-2, -1))

    def codewords(self, canvas: Tensor, layers: Layers, code: Code) -> Tensor:
        """log p(x | codeword) [B, K] of scenes ``canvas`` [B, H, W], by drawing the canvas of each codeword.

        A likelihood with a cheaper way than K canvases overrides this.
        """
        return self.log_prob(canvas[:, None], code.canvases(layers))

    def log_level(self, canvas: Tensor, mean: Tensor) -> Tensor:
        """log P(8-bit level of each pixel | mean), nats, of the shape of ``canvas``, whose pixels are k / 255.

        It makes likelihoods comparable, whatever their support: over the 256 levels P sums to 1. Here, where nothing
        better is known, it is the density times the distance of two levels, which does so about.
        """
        log_prob: Tensor = self(mean).log_prob(canvas)
        return log_prob - math.log(LEVELS - 1)

    def bits_per_dimension(self, canvas: Tensor, mean: Tensor) -> Tensor:
        """-log2 P(levels | mean) per pixel, summed over a scene's pixels and divided by their number, [...]."""
        return -self.log_level(canvas, mean).mean((-2, -1)) / math.log(2)


class Around(Likelihood):
    """Noise around the mean, as likely above it as below. The mean needs no link: it may exceed 1."""

    @abstractmethod
    def log_cdf(self, offset: Tensor) -> Tensor:
        """log P(pixel - mean <= ``offset``)."""

    def log_level(self, canvas: Tensor, mean: Tensor) -> Tensor:
        """The mass from half a level below to half a level above; that of all below 0 and above 1 at the two ends."""
        offset = canvas - mean
        low = torch.where(canvas < HALF, -torch.inf, offset - HALF)
        high = torch.where(canvas > 1 - HALF, torch.inf, offset + HALF)
        # Mirrored into the lower tail, where a difference of logarithms keeps its digits.
        above = offset > 0
        low, high = torch.where(above, -high, low), torch.where(above, -low, high)
        up_to = self.log_cdf(high)
        return up_to + torch.log(-torch.expm1(self.log_cdf(low) - up_to))


class Gaussian(Around):
    """Normal(mean, sd) for each pixel, sd fixed: Eslami et al. 2016; the report, section 4.

    Its log density needs only the squared error, so that a code can give those of all codewords at once.
    """

    def __init__(self, sd: float) -> None:
        super().__init__()
        self.start = sd

    @property
    def sd(self) -> float:
        """The standard deviation of a pixel."""
        return self.start

    def forward(self, mean: Tensor) -> Normal:
        return Normal(mean, self.sd, validate_args=False)

    def log_cdf(self, offset: Tensor) -> Tensor:
        log_cdf: Tensor = torch.special.log_ndtr(offset / self.sd)
        return log_cdf

    def of_squares(self, squares: Tensor, pixels: int) -> Tensor:
        """The log density, nats, of scenes of ``pixels`` whose mean misses them by a squared error of ``squares``."""
        return -0.5 * squares / self.sd**2 - pixels * math.log(self.sd * math.sqrt(2 * math.pi))

    def log_prob(self, canvas: Tensor, mean: Tensor) -> Tensor:
        rest = (canvas - mean).flatten(-2)
        return self.of_squares(torch.linalg.vecdot(rest, rest), rest.shape[-1])

    def codewords(self, canvas: Tensor, layers: Layers, code: Code) -> Tensor:
        return self.of_squares(code.squares(canvas, layers), canvas[0].numel())


class LearntGaussian(Gaussian):
    """The same with one sd for all pixels and scenes, a parameter of the model that starts at ``sd``."""

    def __init__(self, sd: float) -> None:
        super().__init__(sd)
        self.raw = nn.Parameter(torch.zeros(()))

    @property
    def sd(self) -> float:
        return float(self._sd().detach())

    def _sd(self) -> Tensor:
        return HALF + positive(self.raw, self.start)  # less than half a level would be a density of nothing

    def of_squares(self, squares: Tensor, pixels: int) -> Tensor:
        return _of_squares(squares, pixels, self._sd().square())


class OptimalGaussian(Gaussian):
    """The same with the sd that is best for the training scenes: sigma-VAE (Rybkin, Daniilidis & Levine 2021).

    For given means log p is highest at sd^2 = the mean squared error of a pixel. Where a scene may be one of several
    codewords, theirs are weighed by p(x | codeword) at the sd so far: an EM step. Departs from the paper, which takes
    the error of each batch: a running mean over about a hundred batches, kept in checkpoints, so that one scene has
    the same density in any company. The gradient does not pass through it; at the optimum nothing would (d/dsd = 0).
    It learns in training mode, where gradients are wanted.
    """

    KEPT = 0.99  # of the running mean at each batch

    def __init__(self, sd: float) -> None:
        super().__init__(sd)
        self.register_buffer("variance", torch.tensor(sd**2))
        self.variance: Tensor

    @property
    def sd(self) -> float:
        return float(self.variance.sqrt())

    def of_squares(self, squares: Tensor, pixels: int) -> Tensor:
        # A copy, as the buffer goes on while a gradient may still need the value.
        return _of_squares(squares, pixels, self.variance.clone())

    def log_prob(self, canvas: Tensor, mean: Tensor) -> Tensor:
        rest = (canvas - mean).flatten(-2)
        squares = torch.linalg.vecdot(rest, rest)
        self._learn(squares[..., None], rest.shape[-1])
        return self.of_squares(squares, rest.shape[-1])

    def codewords(self, canvas: Tensor, layers: Layers, code: Code) -> Tensor:
        squares = code.squares(canvas, layers)
        self._learn(squares, canvas[0].numel())
        return self.of_squares(squares, canvas[0].numel())

    @torch.no_grad()
    def _update(self, squares: Tensor, pixels: int) -> None:
        weights = (-0.5 * squares / self.variance).softmax(-1)
        best = whole((weights * squares).sum(-1)).mean() / pixels
        self.variance.lerp_(best.clamp(min=HALF**2), 1 - self.KEPT)

    def _learn(self, squares: Tensor, pixels: int) -> None:
        """From the squared errors [..., K] of the codewords of a batch."""
        if self.training and torch.is_grad_enabled():
            self._update(squares, pixels)


def _of_squares(squares: Tensor, pixels: int, variance: Tensor) -> Tensor:
    return -0.5 * (squares / variance + pixels * (variance.log() + math.log(2 * math.pi)))


class LaplaceAround(Around):
    """Laplace(mean, b) for each pixel with the standard deviation sd = sqrt(2) b: a wrong pixel costs less."""

    def __init__(self, sd: float) -> None:
        super().__init__()
        self.scale = sd / math.sqrt(2)

    def forward(self, mean: Tensor) -> Laplace:
        return Laplace(mean, self.scale, validate_args=False)

    def log_cdf(self, offset: Tensor) -> Tensor:
        far = offset.abs() / self.scale
        return torch.where(offset < 0, -math.log(2) - far, torch.log1p(-0.5 * torch.exp(-far)))


class DiscretisedLogistic(Around):
    """Logistic(mean, s) with the standard deviation sd = s pi / sqrt(3), summed up over each of the 256 levels.

    A probability of the level of each pixel, of which the two at the ends have all beyond (Salimans et al. 2017,
    "PixelCNN++", with one component and a fixed s). Its log p is in nats of probability: lower than a density by
    log 255 a pixel.
    """

    def __init__(self, sd: float) -> None:
        super().__init__()
        self.scale = sd * math.sqrt(3) / math.pi

    def forward(self, mean: Tensor) -> Distribution:
        return _Levels(mean, self.log_level)

    def log_cdf(self, offset: Tensor) -> Tensor:
        return F.logsigmoid(offset / self.scale)


class _Levels(Distribution):
    """A distribution over the 256 levels k / 255."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012

    def __init__(self, mean: Tensor, log_level: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(mean.shape, validate_args=False)
        self.location, self.log_level = mean, log_level

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_level(value, self.location)


class BernoulliPixels(Likelihood):
    """A pixel is 1 with probability ``inside(mean)``: for black and white scenes.

    Grey pixels count as the mean over scenes that are made black and white by chance (pixel x is 1 with probability
    x), which is minus the cross-entropy: no density of grey scenes. ``log_level`` is one: exp of minus the
    cross-entropy, divided by its sum over the 256 levels. Loaiza-Ganem & Cunningham 2019 say why that matters.
    """

    def forward(self, mean: Tensor) -> Bernoulli:
        return Bernoulli(logits=_logit(mean), validate_args=False)

    def log_level(self, canvas: Tensor, mean: Tensor) -> Tensor:
        logit = _logit(mean)
        step = (logit.abs() / (LEVELS - 1)).clamp(min=1e-6)
        # sum_k exp(logit k / 255) = exp(logit / 2) sinh(128 step) / sinh(step / 2), so written that nothing overflows
        even = torch.log(torch.expm1(-LEVELS * step) / torch.expm1(-step)) + 0.5 * (LEVELS - 1) * step
        total = 0.5 * logit + even
        return logit * canvas - total


class ContinuousBernoulliPixels(Likelihood):
    """ContinuousBernoulli(``inside(mean)``) of grey pixels in [0, 1]: Loaiza-Ganem & Cunningham 2019.

    The Bernoulli's cross-entropy with the normaliser that makes it a density. Its own mean is not its parameter, but
    nearer to 1/2: what is drawn is the parameter.
    """

    def forward(self, mean: Tensor) -> ContinuousBernoulli:
        return ContinuousBernoulli(logits=_logit(mean), validate_args=False)

    def log_level(self, canvas: Tensor, mean: Tensor) -> Tensor:
        """The mass from half a level below to half a level above within [0, 1], in closed form."""
        low, high = (canvas - HALF).clamp(min=0), (canvas + HALF).clamp(max=1)
        logit, width = _logit(mean), high - low
        # int exp(logit x) dx = exp(logit middle) width sinh(u) / u with u = logit width / 2
        u = (0.5 * logit * width).abs().clamp(min=1e-3)
        log_prob: Tensor = self(mean).log_prob(0.5 * (low + high))
        return log_prob + width.log() + torch.log(torch.sinh(u) / u)


def inside(mean: Tensor) -> Tensor:
    """The link that keeps a sum of objects a probability: ``mean`` [...] at least 0 -> [0.001, 0.999].

    The identity (but for the margin) up to 0.9; from there it bends and nears 1, 1 - exp(-10 (mean - 0.9)) / 10, with
    the same slope at 0.9. So two bright objects that overlap are as bright as one, and both still have a gradient.
    """
    bent = 1 - 0.1 * torch.exp(-10 * (mean - 0.9).clamp(min=0))
    return 0.001 + 0.998 * torch.where(mean < 0.9, mean, bent)


def _logit(mean: Tensor) -> Tensor:
    return torch.logit(inside(mean))


LIKELIHOODS: dict[str, Callable[[Config], Likelihood]] = {
    "gaussian": lambda config: Gaussian(config.likelihood.sd),
    "gaussian-learnt": lambda config: LearntGaussian(config.likelihood.sd),
    "gaussian-optimal": lambda config: OptimalGaussian(config.likelihood.sd),
    "laplace": lambda config: LaplaceAround(config.likelihood.sd),
    "bernoulli": lambda config: BernoulliPixels(),
    "continuous-bernoulli": lambda config: ContinuousBernoulliPixels(),
    "discretised-logistic": lambda config: DiscretisedLogistic(config.likelihood.sd),
}
