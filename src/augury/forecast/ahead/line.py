"""One straight trend and what it may be worth beyond its data.

Least squares over the logarithms of one or two scales. The interval of a new point that the
residuals give is right only where the trend really is straight. On the development half of
benchmarks/scorecard, 90 % intervals of that kind held 86 % of the time on ladders of at most six
models and 67 % on ladders of more than twelve: with more points the noise is known ever better,
and what is left is that no line goes on for ever. So a walk is added that grows with the distance.
How much of it a ladder shows is read off its own past: the line is fitted below a few scales and
scored above them. Checkpoints of one run share what is particular to it: they count as fewer points
(`runs`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from augury.fitting.space import Floats
from augury.forecast.ahead.links import Link
from augury.forecast.ahead.runs import Ints, points_per_run

# The walk of a ladder as a multiple of the usual one: the grid of the posterior.
MULTIPLES = np.exp(np.linspace(np.log(0.1), np.log(4.0), 15))
# Cuts of a ladder at most, and how many independent errors each is worth.
MOST_CUTS, WORTH = 4, 4.0
# A cut has at least this share of the points below it, and so many different scales.
LEAST_BELOW, FEWEST_SCALES = 0.3, 3
# Errors are taken as Student's t of at least so many degrees of freedom: one cut must not rule.
LEAST_FREEDOM = 3.0
# Degrees of freedom of a line's residuals, at least: local weights leave less than one.
FEWEST_SPARE = 1.0
# Degrees of freedom of the walk: its tails are those of trends that turned.
WALK_FREEDOM = 8.0


@dataclass(frozen=True)
class Walk:
    """How far trends stray beyond their data, on the scale of a link.

    Attributes:
        share: standard deviation, as a share of the change that the trend itself makes there.
        step: standard deviation an e-fold of the scale.
        spread: of the logarithm of one ladder's multiple of these two.
        noise: standard deviation of models around their trend, as usual.
        worth: how many residuals that is worth; 0 leaves the noise to the ladder.
        up, down: multiples of the walk above and below the line: trends that leave it by far leave
            it mostly on one side.
    """

    share: float
    step: float
    spread: float
    noise: float = 0.0
    worth: float = 0.0
    up: float = 1.0
    down: float = 1.0


@dataclass(frozen=True)
class Ladder:
    """What a trend is fitted to and asked for.

    Attributes:
        scales, at: (n, k), (m, k) logarithms of the scales of the line.
        size, far: (n,), (m,) logarithm of the scale along which the ladder grows.
        y: (n,) outcomes.
        run: (n,) which training run a point is of; None where each has its own.
        names: (k,) of the scales, where they are known.
    """

    scales: Floats
    at: Floats
    size: Floats
    far: Floats
    y: Floats
    run: Ints | None = None
    names: tuple[str, ...] = ()

    def below(self, cut: float) -> Ladder:
        """Up to a scale, and asked for what lies above it."""
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
    """Of m points, on the scale of a link: a middle, variances, and degrees of freedom.

    Attributes:
        middle: (m,).
        trend: (m,) variance of the line, from its residuals.
        walk: (m,) variance of what the line may stray beyond its data.
        noise: variance of single models around it, from the residuals.
        freedom: of what rests on residuals.
        up, down: multiples of the walk's standard deviation above and below the middle.
    """

    middle: Floats
    trend: Floats
    walk: Floats
    noise: float
    freedom: float
    up: float = 1.0
    down: float = 1.0

    def quantiles(self, levels: Floats, *, new_run: bool = True) -> Floats:
        """(K, m) quantiles of a new model, or of the mean of many.

        Student's t belongs to the residuals alone: of two, it is a factor of six at 90 %, which the
        walk, known from many ladders, does not deserve.
        """
        own = stats.t.ppf(levels, self.freedom)[:, None] * np.sqrt(
            self.trend + self.noise * new_run
        )
        side = np.where(levels > 0.5, self.up, self.down)
        stray = (side * stats.t.ppf(levels, WALK_FREEDOM))[:, None] * np.sqrt(self.walk)
        return np.asarray(self.middle + np.copysign(np.hypot(own, stray), own))


Fit = Callable[[Ladder], tuple[LineForecast, Floats]]


def line_ahead(ladder: Ladder, link: Link, walk: Walk, local: float | None = None) -> LineForecast:
    """Fit a line and say how far it carries.

    Args:
        ladder: at least two more points than the line has parameters.
        link: on which it is straight.
        walk: as usual for this kind of question.
        local: weights fall by a factor e over this share of the range, from the end; None weighs
            all points alike.
    """
    return with_walk(ladder, link.to, walk, lambda own: _fit(own, link, walk, local))


def with_walk(ladder: Ladder, to: Callable[[Floats], Floats], walk: Walk, fit: Fit) -> LineForecast:
    """A forecast with as much of a walk as the ladder's own past shows; arguments as below."""
    fitted, strays = fit(ladder)
    multiple = multiple_squared(ladder, to, walk, fit) if strays.any() else 1.0
    return replace(fitted, walk=multiple * strays)


def _fit(
    ladder: Ladder, link: Link, walk: Walk, local: float | None
) -> tuple[LineForecast, Floats]:
    """The line without a walk, and (m,) the variance of the usual walk."""
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
    # Few residuals tell little of the noise: what ladders usually have counts as some more.
    freedom += walk.worth
    noise = (seen + walk.worth * walk.noise**2) / freedom
    inverse = np.linalg.pinv((design * weights[:, None]).T @ design)
    covariance = inverse @ ((design * weights[:, None] ** 2).T @ design) @ inverse
    middle = at @ best
    own = alike * noise * np.einsum("qi,ij,qj->q", at, covariance, at)
    strays = usual_walk(ladder, walk, line, middle)
    found = LineForecast(middle, own, np.zeros_like(own), noise, freedom, walk.up, walk.down)
    return found, strays


def weights_of(ladder: Ladder, local: float | None) -> Floats:
    """(n,) weights that fall by a factor e over a share of the range, from the end."""
    if local is None:
        return np.ones(len(ladder.y))
    reach = local * max(float(np.ptp(ladder.size)), 1e-9)
    return np.asarray(np.exp((ladder.size - ladder.size.max()) / reach))


def usual_walk(ladder: Ladder, walk: Walk, line: Floats, middle: Floats) -> Floats:
    """(m,) variance of the usual walk, where a trend is `line` at the points, then `middle`."""
    beyond = np.maximum(np.maximum(middle - line.max(), line.min() - middle), 0.0)
    distance = np.maximum(ladder.far - ladder.size.max(), 0.0)
    return np.asarray((walk.share * beyond) ** 2 + (walk.step * distance) ** 2)


def multiple_squared(ladder: Ladder, to: Callable[[Floats], Floats], walk: Walk, fit: Fit) -> float:
    """Mean square of the ladder's multiple of the usual walk, given how its own past went.

    Args:
        to: the scale on which `fit` forecasts.
        fit: gives the forecast of a ladder without its walk, and the variance of the usual one.
    """
    found = -0.5 * (np.log(MULTIPLES) / walk.spread) ** 2
    for cut in _cuts(ladder):
        past = ladder.below(cut)
        fitted, strays = fit(past)
        error = to(ladder.y[ladder.size > cut]) - fitted.middle
        side = np.where(error > 0, walk.up, walk.down) ** 2
        spread = (
            np.sqrt(fitted.trend + fitted.noise + MULTIPLES[:, None] ** 2 * side * strays) + 1e-9
        )
        density = stats.t.logpdf(error / spread, max(fitted.freedom, LEAST_FREEDOM))
        found = found + WORTH * (density - np.log(spread)).mean(1)
    weights = np.exp(found - found.max())
    return float(weights @ MULTIPLES**2 / weights.sum())


def _cuts(ladder: Ladder) -> Floats:
    """At most `MOST_CUTS` scales with enough below them for the line, and something above."""
    sizes = np.unique(ladder.size)[:-1]
    below = np.searchsorted(np.sort(ladder.size), sizes, side="right")
    least = max(ladder.scales.shape[1] + 3, LEAST_BELOW * len(ladder.y))
    able = sizes[(below >= least) & (np.arange(1, len(sizes) + 1) >= FEWEST_SCALES)]
    some = np.linspace(0, len(able) - 1, min(len(able), MOST_CUTS)).round().astype(int)
    return np.asarray(able[np.unique(some)])


def last_value(ladder: Ladder, link: Link, levels: Floats) -> Floats:
    """(K, m) quantiles, on the scale of the link: a random walk from the last value.

    Its step is as large as the steps of the ladder were; what has no trend has no mean either.
    """
    sizes = np.unique(ladder.size)
    v = np.array([link.to(ladder.y[ladder.size == x]).mean() for x in sizes])
    variance = float(np.sum(np.diff(v) ** 2) / (sizes[-1] - sizes[0]))
    ahead = np.sqrt(variance * np.maximum(ladder.far - sizes[-1], 0.0))
    return np.asarray(v[-1] + stats.t.ppf(levels, len(sizes) - 1)[:, None] * ahead)
