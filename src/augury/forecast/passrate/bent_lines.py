"""The leading forecast of pass rates: the average of two lines that drift, and bend or level off.

On log(-log p) and on the logit, a ladder of models is one of

    v = level + slope s + bend(s) + walk(s) + noise
    v = level + slope levelling(s) + walk(s) + noise

with s the log of the scale. The walk is random with step tau per e-fold. The noise sigma between
models is partly shared by checkpoints of one run. A handful of models says little about sigma, tau
and the slope; their priors are what the ladders in the development half of benchmarks/scorecard
have in common. Abilities take off in most of these ladders: lines bend upwards on average, and the
remaining errors are larger above than below, increasingly so further ahead. In others they level
off: one line in five is expected to, and the ladder itself decides by its likelihood. sigma and tau
are integrated on a grid, the rest in closed form; the two links' quantiles are averaged on
log(-log p).

The modes of the priors of sigma and tau are near the maximum of the ladders' likelihoods, with
equal weight per corpus. Below the modes, the priors are broader than these few corpora suggest: in
simulated ladders that are straight within counting noise, narrow priors kept the bend against all
evidence. Slope, curvature, `up` and `DOWN` were chosen among some eighty settings by skill on that
half, `LEVEL_OFF`, `SETTLES` and the curvature's deviation among fifty (docs/compare.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.linalg import solve_triangular

from augury.forecast.ahead.average import Averaged
from augury.forecast.links import Link
from augury.forecast.passrate.rate_series import GROWING, Floats, RateSeries, from_f, to_f

# Nodes of the grids, and how far they reach around the prior's median, in its own units: further
# above it, because a ladder may be wilder than any measured so far.
NOISES, STEPS, BELOW, ABOVE = 14, 11, 2.5, 5.0
# Correlation of noise between a run's checkpoints.
SHARED = 0.3
# Lines bend over this many e-folds at the ladder's end and this many ahead: data reach no further.
BENDS_OVER, BENDS_AHEAD = 6.0, 3.5
# Prior probability that a line levels off, and the share of its slope that it then loses per
# e-fold.
LEVEL_OFF, SETTLES = 0.2, 0.25
# Prior standard deviation of the level: uninformative.
ANY_LEVEL = 10.0
# Half-widths below the middle are multiplied by this.
DOWN = 0.85
# An e-fold of loss equals this many of compute: losses fall about as its twentieth root.
PACE = {"loss": 20.0}
# Above this number, points are thinned evenly: more of them do not improve the forecast.
MOST_POINTS = 100
HALVINGS = 50


@dataclass(frozen=True)
class LadderPrior:
    """Prior of one line, per e-fold of the scale: what ladders have in common.

    Attributes:
        link: scale on which it is a line.
        slope, curvature: mean and standard deviation; slopes of lines that bend grow by the
            curvature.
        noise, step: mode of sigma and of tau, and standard deviations of their logs below and above
            it.
        up: standard deviation, one e-fold ahead, of the extra width above the middle.
    """

    link: Link
    slope: tuple[float, float]
    curvature: tuple[float, float]
    noise: tuple[float, float, float]
    step: tuple[float, float, float]
    up: float


PRIORS = (
    LadderPrior(
        GROWING,
        slope=(0.12, 0.15),
        curvature=(0.02, 0.01),
        noise=(0.117, 1.2, 0.5),
        step=(0.077, 1.0, 1.0),
        up=0.2,
    ),
    LadderPrior(
        Link(
            lambda p: np.asarray(special.logit(np.clip(p, 1e-300, 1 - 1e-9))),
            lambda v: np.asarray(special.expit(v)),
        ),
        slope=(1.0, 1.0),
        curvature=(0.1, 0.035),
        noise=(0.638, 1.2, 0.335),
        step=(0.3, 1.5, 0.5),
        up=0.8,
    ),
)


@dataclass(frozen=True)
class BentLine:
    """The forecast of m points on a link: weights of G nodes, and each node's values.

    A node is a shape of the line, sigma and tau.

    Attributes:
        weights: (G,) that sum to 1.
        middle, trend: (G, m) mean and variance of the trend.
        noise: (G,) variance of models around it.
        ahead: (m,) variance of the extra width above the middle.
    """

    weights: Floats
    middle: Floats
    trend: Floats
    noise: Floats
    ahead: Floats

    def quantiles(self, levels: Floats, *, noise: bool = True) -> Floats:
        """Return (K, m) quantiles of a new model, or without noise of the mean of many.

        Each node is a normal distribution with its own width on either side of its middle.
        """
        own = self.trend + self.noise[:, None] * noise
        middle = self.middle
        below, above = DOWN * np.sqrt(own), np.sqrt(own + self.ahead)
        found = np.empty((len(levels), own.shape[1]))
        for k, level in enumerate(levels):
            low, high = (middle - 9 * below).min(0), (middle + 9 * above).max(0)
            for _ in range(HALVINGS):
                at = 0.5 * (low + high)
                z = at - middle
                share = self.weights @ special.ndtr(np.where(z < 0, z / below, z / above))
                low, high = np.where(share < level, at, low), np.where(share < level, high, at)
            found[k] = 0.5 * (low + high)
        return found


def average_of_lines(found: RateSeries, x: Floats, tails: Floats) -> Averaged:
    """Average the quantiles of two lines at (q, k) scales on log(-log p); NaN if too few models.

    Args:
        found: the series; models whose rate is not above chance are left out.
        x: (q, k) scales.
        tails: (K,) quantile levels, increasing and symmetric.
    """
    rate, seen = found.above_chance
    z = found.z[seen]
    if len(z) < z.shape[1] + 2 or len(np.unique(z[:, 0])) < 2:
        nothing = np.full((len(tails), len(x)), np.nan)
        return Averaged(nothing, nothing)
    some = np.flatnonzero(seen)
    if len(some) > MOST_POINTS:
        some = some[np.linspace(0, len(some) - 1, MOST_POINTS).round().astype(int)]
    pace = PACE.get(found.scales[0], 1.0)
    parts = [
        (prior.link, mixture(prior, pace * found.z[some], pace * found.along(x), rate[some],
                             found.run[some], 1.0 / found.shape[some]))
        for prior in PRIORS
    ]  # fmt: skip
    run, mean = (
        np.mean([to_f(link.back(part.quantiles(tails, noise=new))) for link, part in parts], axis=0)
        for new in (True, False)
    )
    return Averaged(from_f(run), from_f(mean))


def mixture(
    prior: LadderPrior,
    z: Floats,
    at: Floats,
    rate: Floats,
    run: NDArray[np.int64],
    relative: Floats,
) -> BentLine:
    """Compute the posterior of one line.

    Args:
        z, at: (n, k), (m, k) logarithms of the scales; the ladder grows along the first.
        rate: (n,) pass rates above 0.
        run: (n,) labels of training runs.
        relative: (n,) variance that sampling puts into the logarithm of a rate.
    """
    n = len(rate)
    v = prior.link.to(rate)
    every = np.concatenate([z, at])
    first, last = z[:, 0].min(), z[:, 0].max()
    size = every[:, 0] - first
    # The walk starts at the smallest model, in both directions.
    walk = np.where(
        np.multiply.outer(size, size) > 0, np.minimum.outer(np.abs(size), np.abs(size)), 0.0
    )
    alike = np.where(run[:, None] == run[None, :], SHARED, 0.0)
    np.fill_diagonal(alike, 1.0)
    counted = np.diag(_slope_of(prior.link, rate) ** 2 * relative + 1e-9)
    noises, steps, density = _grid(prior)
    found, middle, variance = [], [], []
    for share, mean, known in _shapes(prior, every, first, last, n):
        mean = mean + v.mean() - mean[:n].mean()
        for noise, step, log_prior in zip(noises, steps, density, strict=True):
            trend = known + step**2 * walk
            root = np.linalg.cholesky(trend[:n, :n] + noise**2 * alike + counted)
            asked = np.column_stack([v - mean[:n], trend[:n, n:]])
            residual, cross = np.split(solve_triangular(root, asked, lower=True), [1], axis=1)
            middle.append(mean[n:] + cross.T @ residual[:, 0])
            variance.append(np.diagonal(trend)[n:] - (cross**2).sum(0))
            likelihood = -np.log(np.diagonal(root)).sum() - 0.5 * (residual**2).sum()
            found.append(np.log(share) + log_prior + likelihood)
    weights = np.exp(np.array(found) - max(found))
    return BentLine(
        weights / weights.sum(),
        np.array(middle),
        np.maximum(variance, 0.0),
        np.tile(noises**2, len(found) // len(noises)),
        (prior.up * np.maximum(at[:, 0] - last, 0.0)) ** 2,
    )


def _shapes(
    prior: LadderPrior, every: Floats, first: float, last: float, n: int
) -> Iterator[tuple[float, Floats, Floats]]:
    """Yield each shape's prior probability, mean up to a constant, and covariance without the walk.

    `every` is (n + m, k): the ladder's scales, then those asked for.
    """
    bent = bend(every[:, 0], first, last)
    settles = np.column_stack([levelling(every[:, 0], first, last), every[:, 1:]])
    for share, lines, (curve, spread) in (
        (1 - LEVEL_OFF, every, prior.curvature),
        (LEVEL_OFF, settles, (0.0, 0.0)),
    ):
        off = lines - lines[:n].mean(0)
        mean = prior.slope[0] * off.sum(1) + curve * bent
        known = ANY_LEVEL**2 + prior.slope[1] ** 2 * off @ off.T
        yield share, mean, known + spread**2 * np.outer(bent, bent)


def bend(size: Floats, first: float, last: float) -> Floats:
    """(n,) half the squared distance from where lines begin to bend; linear far ahead."""
    begins = max(first, last - BENDS_OVER)
    s = np.maximum(size - begins, 0.0)
    most = last - begins + BENDS_AHEAD
    return np.asarray(np.where(s < most, 0.5 * s**2, most * (s - 0.5 * most)))


def levelling(size: Floats, first: float, last: float) -> Floats:
    """(n,) line whose slope falls by `SETTLES` per e-fold, 1 in the middle of where lines bend."""
    begins = max(first, last - BENDS_OVER)
    middle = 0.5 * (begins + last)
    s = np.maximum(size, begins) - middle
    before = np.minimum(size - begins, 0.0) * np.exp(SETTLES * (middle - begins))
    return np.asarray(before - np.expm1(-SETTLES * s) / SETTLES)


def _grid(prior: LadderPrior) -> tuple[Floats, Floats, Floats]:
    """Return (G,) sigma, tau and the logarithm of their prior density."""
    noise, step = (np.linspace(-BELOW, ABOVE, count) for count in (NOISES, STEPS))
    noise, step = (x.ravel() for x in np.meshgrid(noise, step, indexing="ij"))
    density = -0.5 * (noise**2 + step**2)
    scaled = []
    for at, (mode, below, above) in ((noise, prior.noise), (step, prior.step)):
        spread = np.where(at < 0, below, above)
        scaled.append(mode * np.exp(spread * at))
        density = density + np.log(spread)  # distance between nodes
    return scaled[0], scaled[1], density


def _slope_of(link: Link, rate: Floats) -> Floats:
    """Return (n,) the derivative of the link with respect to the logarithm of a rate."""
    step = 1e-4
    below, above = (np.clip(rate * np.exp(s), 1e-300, 1 - 1e-9) for s in (-step, step))
    return np.asarray((link.to(above) - link.to(below)) / (2 * step))
