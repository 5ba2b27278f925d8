"""Is there any trend at all? A p value that is valid under serial dependence within runs.

Every run is summarised by its own slope and bend; the test is whether these are zero over runs, by
Wilks' lambda with its exact F distribution. Runs are independent draws, however their checkpoints
depend on each other, so the size of the test needs no model of the noise (the summary-measures
approach: Matthews et al. 1990; Wilks' lambda: Rao 1951). Slope and bend may vary with the logarithm
of size.

This is impossible with fewer than `FEW_RUNS` runs. The F test of the whitened series is used
instead. It is only as good as the estimated serial dependence, and the result says so.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from augury.forecast.trends.noise import Noise
from augury.forecast.trends.series import Design, Floats, TrendSeries

# Below five runs, Wilks' lambda of two contrasts has three or fewer degrees of freedom left.
FEW_RUNS = 5


def evidence(series: TrendSeries, whitening: list[Floats], noise: Noise) -> tuple[Floats, str]:
    """Return (T,) p values of "no trend in any run", and their source ("runs" or "series")."""
    design = series.design
    points = np.bincount(design.run)
    if design.runs >= FEW_RUNS and points.min() >= 2:
        return _over_runs(series, whitening, noise, 2 if points.min() >= 4 else 1), "runs"
    return _over_points(series, whitening, noise), "series"


def _over_runs(series: TrendSeries, whitening: list[Floats], noise: Noise, degree: int) -> Floats:
    design = series.design
    contrasts = np.empty((len(series.y), design.runs, degree))
    x = _polynomial(design, degree)
    for g in np.unique(noise.choice):
        tasks = noise.choice == g
        for r in range(design.runs):
            own = design.run == r
            root = whitening[g][np.ix_(own, own)]
            full = np.concatenate([np.ones((own.sum(), 1)), x[own]], 1)
            solved = np.linalg.lstsq(root @ full, root @ series.y[np.ix_(tasks, own)].T)[0]
            contrasts[tasks, r] = solved[1:].T
    z = np.array([design.z[design.run == r][0] for r in range(design.runs)])
    varies = bool(z.any()) and design.runs >= FEW_RUNS + 1
    predictors = np.stack([np.ones(design.runs), z], 1) if varies else np.ones((design.runs, 1))
    q, _ = np.linalg.qr(predictors)
    explained = np.einsum("rh,trd->thd", q, contrasts)
    hypothesis = np.einsum("thd,the->tde", explained, explained)
    total = np.einsum("trd,tre->tde", contrasts, contrasts)
    count = predictors.shape[1]
    return wilks(hypothesis, total - hypothesis, count, design.runs - count)


def wilks(hypothesis: Floats, error: Floats, h: int, e: int) -> Floats:
    """Return (T,) p values of Wilks' lambda for one or two responses: exact F (Rao 1951).

    Args:
        hypothesis: (T, d, d) sums of squares and products explained, on h degrees of freedom.
        error: (T, d, d) the same for the residuals, on e.
        h: degrees of freedom of the hypothesis.
        e: degrees of freedom of the error.
    """
    d = hypothesis.shape[-1]
    left = np.maximum(np.linalg.det(error), 0.0)
    whole = np.maximum(np.linalg.det(error + hypothesis), 1e-300)
    ratio = np.clip(left / whole, 1e-300, 1.0)
    if d == 1:
        f, first, second = (1 - ratio) / ratio * e / h, h, e
    elif h == 1:
        f, first, second = (1 - ratio) / ratio * (e - 1) / 2, 2, e - 1
    else:
        root = np.sqrt(ratio)
        f, first, second = (1 - root) / root * (e - 1) / h, 2 * h, 2 * (e - 1)
    constant = whole <= 1e-24  # a score that never moves shows no trend
    return np.where(constant, 1.0, stats.f.sf(f, first, second))


def _over_points(series: TrendSeries, whitening: list[Floats], noise: Noise) -> Floats:
    design = series.design
    levels = (design.run[:, None] == np.arange(design.runs)[None]).astype(float)
    per_run = len(design.x) / design.runs
    full = np.concatenate([levels, _polynomial(design, 2 if per_run >= 4 else 1)], 1)
    spare = len(design.x) - full.shape[1]
    if spare < 1:
        return np.ones(len(series.y))
    p = np.ones(len(series.y))
    for g in np.unique(noise.choice):
        tasks = noise.choice == g
        y = series.y[tasks] @ whitening[g].T
        small, large = (_rss(whitening[g] @ m, y) for m in (levels, full))
        terms = full.shape[1] - design.runs
        noisy = np.maximum(large, 1e-24)
        f = (small - large) / terms / (noisy / spare)
        p[tasks] = np.where(small <= 1e-24, 1.0, stats.f.sf(f, terms, spare))
    return p


def _polynomial(design: Design, degree: int) -> Floats:
    x = design.x - design.x.mean()
    x = x / max(float(np.abs(x).max()), 1e-12)
    return np.stack([x, x * x][:degree], 1)


def _rss(design: Floats, y: Floats) -> Floats:
    q, _ = np.linalg.qr(design)
    return ((y - (y @ q) @ q.T) ** 2).sum(1)
