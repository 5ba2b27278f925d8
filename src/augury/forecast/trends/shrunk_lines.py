"""Forecasts of the tasks of one run: lines that share information on slopes and scatter.

Eight checkpoints of one task determine its slope poorly; a hundred tasks of the same run show how
much slopes differ, and how far checkpoints scatter. So every slope is shrunk towards the mean of
the run's tasks, by the share of their differences that chance explains (Efron & Morris 1973), and
scatter is pooled. Lines through all points, through the later and through the last points are
averaged with the last value, because trends bend and early checkpoints tell little about the end of
a run. The run's own past decides their weights, for all tasks together: each is fitted to ever
shorter histories and scored on the points that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

# Weights of a line fall by a factor e over these shares of the range in u, from the end; None
# weights all points equally.
NEAR = (None, 0.3, 0.1)
# Prior weight of the last value with a random walk from there.
LAST = 0.3
# Weights are the past score to this power; this share keeps its prior weight.
POWER, KEPT = 4.0, 0.1
# Number of histories tried, their fewest points, and how many horizons back and ahead they look.
CUTS, FEWEST, BACK, AHEAD = 4, 5, 4.0, 1.5
SCORED = np.round(np.arange(0.05, 0.96, 0.05), 2)
# Number of points that the scatter of the other tasks is worth for the scatter of one.
WORTH = 6.0
# Minimum degrees of freedom of a line's residuals: local weights leave less than one.
FEWEST_SPARE = 1.0


@dataclass(frozen=True)
class SharedLines:
    """Lines of T tasks at m points: middles, variances for a new point, degrees of freedom."""

    middle: Floats
    variance: Floats
    freedom: float

    def quantiles(self, levels: Floats) -> Floats:
        """(K, T, m)."""
        t = stats.t.ppf(levels, self.freedom)[:, None, None]
        return np.asarray(self.middle + t * np.sqrt(self.variance))


def ahead_of_tasks(
    u: Floats, y: Floats, at: Floats, levels: Floats, ends: Floats | None = None
) -> Floats:
    """Return (K, T, m) quantiles of one new point of each task.

    Args:
        u: (n,) coordinate of the points seen, ascending, three or more.
        y: (T, n) scores, on the scale of the analysis.
        at: (m,) coordinates beyond the end, ascending.
        levels: (K,) of the quantiles.
        ends: (T, 2) least and largest score there is. No line forecasts more: an average of lines
            far beyond 1 would be an interval of width zero.
    """
    weights = _weights(u, y, float(at[-1] - u[-1]))
    return np.asarray(np.tensordot(weights, _parts(u, y, at, levels, ends), 1))


def _parts(u: Floats, y: Floats, at: Floats, levels: Floats, ends: Floats | None = None) -> Floats:
    """Return (P, K, T, m) quantiles of the lines and the last value."""
    lines = [shrunk_line(u, y, at, near).quantiles(levels) for near in NEAR]
    if ends is not None:
        lines = [np.clip(q, ends[:, :1], ends[:, 1:]) for q in lines]
    return np.array([*lines, _last_value(u, y, at).quantiles(levels)])


def _weights(u: Floats, y: Floats, reach: float) -> Floats:
    """Return (P,) weights of the parts, from the pinball losses of forecasts about `reach` far."""
    before = np.array([(1 - LAST) / len(NEAR)] * len(NEAR) + [LAST])
    able = list(range(FEWEST, len(u)))
    able = [k for k in able if u[k - 1] >= u[-1] - BACK * reach] or able[-2:]
    scores = []
    some = np.linspace(0, len(able) - 1, CUTS).round().astype(int) if able else np.empty(0, int)
    for k in sorted({able[i] for i in some}):
        later = u[k:] <= u[k - 1] + AHEAD * reach
        later[0] = True
        off = y[:, k:][:, later] - _parts(u[:k], y[:, :k], u[k:][later], SCORED)
        level = SCORED[:, None, None]
        scores.append(np.maximum(level * off, (level - 1) * off).mean((1, 2, 3)))
    if not scores:
        return before
    score = np.mean(scores, axis=0) + 1e-12
    found = before * (score / score.min()) ** -POWER
    return np.asarray((1 - KEPT) * found / found.sum() + KEPT * before)


def shrunk_line(u: Floats, y: Floats, at: Floats, near: float | None) -> SharedLines:
    """Fit least squares with local weights, slopes shrunk to their mean; arguments as above."""
    x, ahead = u - u[-1], at - u[-1]
    weights = np.ones(len(u)) if near is None else np.exp(x / (near * np.ptp(u)))
    points = float(weights.sum() ** 2 / (weights**2).sum())
    design = np.stack([np.ones(len(x)), x], 1)
    inverse = np.linalg.inv((design * weights[:, None]).T @ design)
    covariance = inverse @ ((design * weights[:, None] ** 2).T @ design) @ inverse
    level, slope = inverse @ (design * weights[:, None]).T @ y.T
    off = y - level[:, None] - slope[:, None] * x
    spare = max(points - 2, FEWEST_SPARE)
    noise = _pool_variances(off**2 @ weights / weights.sum() * points, spare)
    kept, mean = shrinkage(slope, noise * covariance[1, 1])
    # The level at the end moves with the slope, as in least squares.
    along = covariance[0, 1] / covariance[1, 1]
    moved = (1 - kept) * (mean - slope)
    level, slope = level + along * moved, slope + moved
    of_slope = (kept + (1 - kept) / len(y)) * covariance[1, 1]
    own = covariance[0, 0] - along * covariance[0, 1]
    reach = (ahead + along) ** 2
    variance = noise[:, None] * (1 + own + of_slope[:, None] * reach)
    return SharedLines(level[:, None] + slope[:, None] * ahead, variance, spare + WORTH)


def shrinkage(slope: Floats, variance: Floats) -> tuple[Floats, float]:
    """Return the share of its distance from the mean that each of T slopes keeps, and that mean.

    Positive-part James-Stein: with three tasks or fewer, all of it.

    Args:
        slope, variance: (T,) estimates and their sampling variance.
    """
    floor = max(float(variance.max()) * 1e-9, 1e-300)
    mean = float(np.average(slope, weights=1 / (variance + floor)))
    count = len(slope)
    if count <= 3:
        return np.ones(count), mean
    spread = float(((slope - mean) ** 2).sum() / (count - 1))
    by_chance = (count - 3) / (count - 1) * variance / max(spread, 1e-300)
    return np.clip(1 - by_chance, 0.0, 1.0), mean


def _last_value(u: Floats, y: Floats, at: Floats) -> SharedLines:
    """Return the last value with a random walk whose steps are the task's, less drift."""
    gaps = np.diff(u)
    drift = (y[:, -1:] - y[:, :1]) / (u[-1] - u[0])
    squares = ((np.diff(y, axis=1) - drift * gaps) ** 2).sum(1)
    step = _pool_variances(squares / gaps.sum() * len(gaps), float(len(gaps)))
    return SharedLines(
        np.repeat(y[:, -1:], len(at), 1), step[:, None] * (at - u[-1]), len(gaps) + WORTH
    )


def _pool_variances(squares: Floats, freedom: float) -> Floats:
    """Return (T,) variances from sums of squares: the median task's adds `WORTH` points."""
    usual = float(np.median(squares)) / freedom
    return np.asarray((squares + WORTH * usual) / (freedom + WORTH))
