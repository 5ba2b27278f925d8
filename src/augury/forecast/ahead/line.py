"""One straight trend and how far it can be trusted beyond its data.

Least squares over the logarithms of one or two scales. The interval of a new point from the
residuals is right only if the trend really is straight. On the development half of
benchmarks/scorecard, 90 % intervals of that kind covered 86 % on ladders of at most six models and
67 % on ladders of more than twelve: with more points the noise is known better, and what remains is
that no line continues for ever. So a random walk is added that grows with the distance. Its size is
estimated from the ladder's own past: the line is fitted below a few scales and scored above them.
Checkpoints of one run share what is particular to it: they count as fewer points (`runs`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy

from augury.fitting.space import Floats
from augury.forecast.ahead.runs import Ints, points_per_run
from augury.forecast.links import Link

# The ladder's walk as a multiple of the usual one: the grid of the posterior.
MULTIPLES = np.exp(np.linspace(np.log(0.1), np.log(4.0), 15))
# Maximum number of cuts of a ladder, and how many independent errors each is worth.
MOST_CUTS, WORTH = 4, 4.0
# A cut has at least this share of the points below it, and this many different scales.
LEAST_BELOW, FEWEST_SCALES = 0.3, 3
# Errors have Student's t with at least this many degrees of freedom: one cut must not dominate.
LEAST_FREEDOM = 3.0
# Minimum degrees of freedom of a line's residuals: local weights leave less than one.
FEWEST_SPARE = 1.0
# Degrees of freedom of the walk: its tails are those of trends that changed direction.
WALK_FREEDOM = 8.0


@dataclass(frozen=True)
class Walk:
    """How far trends drift beyond their data, on the scale of a link.

    Attributes:
        share: standard deviation, as a share of the change that the trend itself makes there.
        step: standard deviation per e-fold of the scale.
        spread: of the logarithm of one ladder's multiple of these two.
        noise: usual standard deviation of models around their trend.
        worth: how many residuals that is worth; 0 leaves the noise to the ladder.
    """

    share: float
    step: float
    spread: float
    noise: float = 0.0
    worth: float = 0.0


@dataclass(frozen=True)
class Ladder:
    """The points that a trend is fitted to, and those it is asked for.

    Attributes:
        scales, at: (n, k), (m, k) logarithms of the scales of the line.
        size, far: (n,), (m,) logarithm of the scale along which the ladder grows.
        y: (n,) outcomes.
        run: (n,) the training run of each point; None if each has its own.
        names: (k,) of the scales, if known.
    """

    scales: Floats
    at: Floats
    size: Floats
    far: Floats
    y: Floats
    run: Ints | None = None
    names: tuple[str, ...] = ()

    def below(self, cut: float) -> Ladder:
        """Return the ladder up to a scale, with the points above it as targets."""
        seen = self.size <= cut
        return Ladder(
            self.scales[seen],
            self.scales[~seen],
            self.size[seen],
            self.size[~seen],
            self.y[seen],
            None if self.run is None else self.run[seen],
            self.names,
        )


@dataclass(frozen=True)
class LineForecast:
    """The forecast of m points, on the scale of a link: middle, variances, and degrees of freedom.

    Attributes:
        middle: (m,) centre of the forecast.
        trend: (m,) variance of the line, from its residuals.
        walk: (m,) variance of the drift of the line beyond its data.
        noise: variance of single models around it, from the residuals.
        freedom: degrees of freedom of what comes from residuals.
    """

    middle: Floats
    trend: Floats
    walk: Floats
    noise: float
    freedom: float

    def quantiles(self, levels: Floats, *, new_run: bool = True) -> Floats:
        """Return (K, m) quantiles of a new model, or of the mean of many.

        Student's t applies to the residuals alone: with two residuals it is a factor of six at 90
        %, which would be wrong for the walk, known from many ladders.
        """
        own = scipy.stats.t.ppf(levels, self.freedom)[:, None] * np.sqrt(
            self.trend + self.noise * new_run
        )
        stray = scipy.stats.t.ppf(levels, WALK_FREEDOM)[:, None] * np.sqrt(self.walk)
        return np.asarray(self.middle + np.copysign(np.hypot(own, stray), own))


Fit = Callable[[Ladder], tuple[LineForecast, Floats]]


def line_ahead(ladder: Ladder, link: Link, walk: Walk, local: float | None = None) -> LineForecast:
    """Fit a line and estimate how far it carries.

    Args:
        ladder: at least two more points than the line has parameters.
        link: on which it is straight.
        walk: the usual one for this kind of question.
        local: weights fall by a factor e over this share of the range, from the end; None weighs
            all points equally.
    """
    return with_walk(ladder, link.to, walk, lambda own: _fit(own, link, walk, local))


def with_walk(ladder: Ladder, to: Callable[[Floats], Floats], walk: Walk, fit: Fit) -> LineForecast:
    """Add as much of a walk to a forecast as the ladder's own past shows; arguments as below."""
    fitted, strays = fit(ladder)
    multiple = multiple_squared(ladder, to, walk, fit) if strays.any() else 1.0
    return replace(fitted, walk=multiple * strays)


def _fit(
    ladder: Ladder, link: Link, walk: Walk, local: float | None
) -> tuple[LineForecast, Floats]:
    """Return the line without a walk, and (m,) the variance of the usual walk."""
    v = link.to(ladder.y)
    design, at = (np.column_stack([np.ones(len(x)), x]) for x in (ladder.scales, ladder.at))
    weights = weights_of(ladder, local)
    root = np.sqrt(weights)
    best = np.linalg.lstsq(design * root[:, None], v * root, rcond=None)[0]
    line = design @ best
    points = float(weights.sum() ** 2 / (weights**2).sum())
    alike = points_per_run(v - line, weights, ladder.run)
    freedom = max(points / alike - design.shape[1], FEWEST_SPARE)
    seen = float(weights @ (v - line) ** 2 / weights.sum()) * points / alike
    # A few residuals tell little about the noise: the usual noise of ladders counts as some more.
    freedom += walk.worth
    noise = (seen + walk.worth * walk.noise**2) / freedom
    inverse = np.linalg.pinv((design * weights[:, None]).T @ design)
    covariance = inverse @ ((design * weights[:, None] ** 2).T @ design) @ inverse
    middle = at @ best
    own = alike * noise * np.einsum("qi,ij,qj->q", at, covariance, at)
    strays = usual_walk(ladder, walk, line, middle)
    found = LineForecast(middle, own, np.zeros_like(own), noise, freedom)
    return found, strays


def weights_of(ladder: Ladder, local: float | None) -> Floats:
    """Return (n,) weights that fall by a factor e over a share of the range, from the end."""
    if local is None:
        return np.ones(len(ladder.y))
    reach = local * max(float(np.ptp(ladder.size)), 1e-9)
    return np.asarray(np.exp((ladder.size - ladder.size.max()) / reach))


def usual_walk(ladder: Ladder, walk: Walk, line: Floats, middle: Floats) -> Floats:
    """Return (m,) the usual walk's variance for a trend `line` at the points, then `middle`."""
    beyond = np.maximum(np.maximum(middle - line.max(), line.min() - middle), 0.0)
    distance = np.maximum(ladder.far - ladder.size.max(), 0.0)
    return np.asarray((walk.share * beyond) ** 2 + (walk.step * distance) ** 2)


def multiple_squared(ladder: Ladder, to: Callable[[Floats], Floats], walk: Walk, fit: Fit) -> float:
    """Return the mean square of the ladder's multiple of the usual walk, given its own past.

    Args:
        to: the scale on which `fit` forecasts.
        fit: returns the forecast of a ladder without its walk, and the variance of the usual one.
    """
    found = -0.5 * (np.log(MULTIPLES) / walk.spread) ** 2
    for cut in _cuts(ladder):
        past = ladder.below(cut)
        fitted, strays = fit(past)
        error = to(ladder.y[ladder.size > cut]) - fitted.middle
        spread = np.sqrt(fitted.trend + fitted.noise + MULTIPLES[:, None] ** 2 * strays) + 1e-9
        density = scipy.stats.t.logpdf(error / spread, max(fitted.freedom, LEAST_FREEDOM))
        found = found + WORTH * (density - np.log(spread)).mean(1)
    weights = np.exp(found - found.max())
    return float(weights @ MULTIPLES**2 / weights.sum())


def _cuts(ladder: Ladder) -> Floats:
    """Return at most `MOST_CUTS` scales with enough points below for the line, and some above."""
    sizes = np.unique(ladder.size)[:-1]
    below = np.searchsorted(np.sort(ladder.size), sizes, side="right")
    least = max(ladder.scales.shape[1] + 3, LEAST_BELOW * len(ladder.y))
    able = sizes[(below >= least) & (np.arange(1, len(sizes) + 1) >= FEWEST_SCALES)]
    some = np.linspace(0, len(able) - 1, min(len(able), MOST_CUTS)).round().astype(int)
    return np.asarray(able[np.unique(some)])


def last_value(ladder: Ladder, link: Link, levels: Floats) -> Floats:
    """Return (K, m) quantiles on the link's scale: a random walk from the last value.

    Its step is as large as the ladder's steps were; without a trend it has no mean either.
    """
    sizes = np.unique(ladder.size)
    v = np.array([link.to(ladder.y[ladder.size == x]).mean() for x in sizes])
    variance = float(np.sum(np.diff(v) ** 2) / (sizes[-1] - sizes[0]))
    ahead = np.sqrt(variance * np.maximum(ladder.far - sizes[-1], 0.0))
    return np.asarray(v[-1] + scipy.stats.t.ppf(levels, len(sizes) - 1)[:, None] * ahead)
