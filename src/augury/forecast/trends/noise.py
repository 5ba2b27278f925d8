"""The noise of a run's checkpoints: over-dispersed, and correlated between close checkpoints.

Neighbouring checkpoints deviate from the trend together. Per task, the covariance of a run is

    s^2 [(1 - w) I + w exp(-|x - x'| / l)]

with x in logarithms of tokens: sampling and fast noise, and a slow part of share w and range l.
Eight points of eight runs tell little about w and l, so tasks of a family share information: the
grid of (w, l) has a prior whose weights are estimated from all tasks (empirical Bayes by EM on the
restricted likelihoods), and every task takes its own best under it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from augury.forecast.trends.series import Design, Floats, TrendSeries

# Shares of the slow part, and its range in e-folds of tokens: from a third of a doubling to beyond
# the span of most ladders. On 12 tasks of Pythia the estimates lie inside, .3-.9 and .4-2.
SHARES = (0.3, 0.6, 0.9)
REACHES = (0.25, 0.7, 2.0, 6.0)
GRID = ((0.0, 1.0), *((w, reach) for w in SHARES for reach in REACHES))
EM_STEPS = 25
# Knots of the common trend: Pythia's 8 published checkpoints have 6 inner ones.
BENDS = 8


@dataclass(frozen=True)
class Noise:
    """The estimated noise, one row per task.

    Attributes:
        choice: (T,) index into `GRID`.
        variance: (T,) s^2 on the scale of the analysis, not below the sampling variance.
    """

    choice: np.ndarray
    variance: Floats


def roots(design: Design) -> list[Floats]:
    """Return per grid point the (n, n) W with W C W^T = I, which whitens y and the design."""
    gap = np.abs(design.x[:, None] - design.x[None, :])
    same = design.run[:, None] == design.run[None, :]
    found: list[Floats] = []
    for w, reach in GRID:
        c = np.where(same, w * np.exp(-gap / reach), 0.0)
        c[np.diag_indices(len(c))] = 1.0
        found.append(np.asarray(np.linalg.inv(np.linalg.cholesky(c)), float))
    return found


def basis(design: Design) -> Floats:
    """Return (n, p) the mean for measuring noise: run levels, and a trend that varies with size.

    The trend common to all runs is a broken line with a knot at up to `BENDS` checkpoints, so that
    a sharp leap is not mistaken for slow noise; with fewer than three runs it is a parabola. The
    part that varies with size is a parabola in x, linear in z.
    """
    levels = (design.run[:, None] == np.arange(design.runs)[None]).astype(float)
    x = design.x - design.x.mean()
    x = x / max(np.abs(x).max(), 1e-12)
    columns = [x]
    if design.runs >= 3:
        inner = np.unique(x)[1:-1]
        if len(inner):
            knots = inner[np.unique(np.linspace(0, len(inner) - 1, BENDS).round().astype(int))]
            columns += [np.maximum(x - c, 0.0) for c in knots]
    else:
        columns.append(x * x)
    if design.z.any():
        columns += [x * design.z, x * x * design.z]
    full = np.concatenate([levels, np.stack(columns, 1)], 1)
    kept: list[int] = []
    for j in range(full.shape[1]):  # two points per run, for example, cannot carry them all
        trial = full[:, [*kept, j]]
        if np.linalg.matrix_rank(trial) == len(kept) + 1 and 2 * len(kept) < len(full):
            kept.append(j)
    return full[:, kept]


def estimate(series: TrendSeries, whitening: list[Floats]) -> Noise:
    """Maximise the restricted likelihood over the grid, with a prior shared by tasks."""
    mean = basis(series.design)
    n, p = mean.shape
    logs = np.empty((len(GRID), len(series.y)))
    spread = np.empty_like(logs)
    for g, root in enumerate(whitening):
        q, r = np.linalg.qr(root @ mean)
        y = series.y @ root.T
        left = y - (y @ q) @ q.T
        spread[g] = np.maximum((left**2).sum(1) / (n - p), 1e-12)
        determinant = -2.0 * np.log(np.diag(root)).sum()
        shape = 2.0 * np.log(np.abs(np.diag(r))).sum()
        logs[g] = -0.5 * ((n - p) * np.log(spread[g]) + determinant + shape)
    likelihood = np.exp(logs - logs.max(0))
    weights = np.full(len(GRID), 1.0 / len(GRID))
    for _ in range(EM_STEPS):
        shares = weights[:, None] * likelihood
        shares /= shares.sum(0)
        weights = (shares.sum(1) + 1.0 / len(GRID)) / (len(series.y) + 1.0)
    choice = np.argmax(weights[:, None] * likelihood, 0)
    variance = spread[choice, np.arange(len(series.y))]
    floor = np.where(np.isfinite(series.sampling), series.sampling, 0.0)
    return Noise(choice, np.maximum(variance, floor))
