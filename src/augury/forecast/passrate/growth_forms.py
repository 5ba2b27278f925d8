"""Classify growth as below, along or above the scaling law.

Hu et al. 2023 (arXiv 2310.03262) distinguish three classes by the curve of F = log(-log pass) over
log scale: convex is sub-scaling, a line is scaling-law growth, concave is accelerated. They judge
by eye; here the curvature has an interval and a test against the line, in which models scatter
around any curve with a noise that the counts do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import optimize, stats

from augury.forecast.passrate.rate_series import Floats, RateSeries

Class = Literal["sub-scaling", "scaling-law", "accelerated", "unknown"]
# How sharply the better of two circuits takes over, in units of F. The paper mixes them by softmax
# weights whose form it does not give.
SHARPNESS = 0.1
# With fewer models than this, too few are left to judge a curve of four parameters.
FEWEST_FOR_FORMS = 7


@dataclass(frozen=True)
class Growth:
    """The class of growth and its evidence.

    Attributes:
        kind: "sub-scaling" (convex), "scaling-law", "accelerated" (concave), "unknown".
        curvature: q of F = a - alpha z + q z^2, z = log scale; of the squared fitted line if there
            are several scales.
        interval: of q, at `level`.
        p: two-sided p value against the line.
        level: of the interval; the class differs from "scaling-law" if the interval excludes 0.
        held_out: mean log density of each left-out model's F, under the line, under two steps that
            are both needed (convex) and under two circuits whose better one answers (concave);
            empty below 7 models.
    """

    kind: Class
    curvature: float
    interval: tuple[float, float]
    p: float
    level: float
    held_out: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "class": self.kind,
            "curvature": self.curvature,
            "interval": list(self.interval),
            "p": self.p,
            "level": self.level,
            "held_out": dict(self.held_out),
        }


def growth(series: RateSeries, level: float = 0.9) -> Growth:
    """Test the curvature of F against 0.

    A t test with M - 2 - scales degrees of freedom on the curvature, by least squares with weights
    from sampling error and the noise between models, which is estimated by restricted maximum
    likelihood under the curve.

    Args:
        series: the models; "unknown" below four, or if they have fewer than three scales.
        level: level of the interval.
    """
    z = series.z - series.z.mean(0)
    m, k = z.shape
    nothing = Growth("unknown", np.nan, (np.nan, np.nan), np.nan, level, {})
    line = np.concatenate([np.ones((m, 1)), z], axis=1)
    if m < k + 3 or len(np.unique(series.x, axis=0)) < k + 2:
        return nothing
    along = z[:, 0] if k == 1 else line @ np.linalg.lstsq(line, series.f, rcond=None)[0]
    design = np.concatenate([line, (along**2)[:, None]], axis=1)
    if np.linalg.matrix_rank(design, tol=1e-6) < design.shape[1]:
        return nothing
    weight = 1 / (series.f_variance + between(series, design))
    inverse = np.linalg.inv(design.T @ (design * weight[:, None]))
    best = inverse @ (design.T @ (weight * series.f))
    free = m - design.shape[1]
    off = series.f - design @ best
    # The noise is estimated from these residuals, so never assume less than they show.
    scale = max(1.0, float(weight @ off**2) / free)
    error = float(np.sqrt(inverse[-1, -1] * scale))
    q = float(best[-1])
    p = float(2 * stats.t.sf(abs(q) / error, free))
    half = float(stats.t.isf((1 - level) / 2, free)) * error
    kind: Class = "scaling-law"
    if p < 1 - level:
        kind = "sub-scaling" if q > 0 else "accelerated"
    return Growth(kind, q, (q - half, q + half), p, level, _forms(series))


def between(series: RateSeries, design: Floats) -> Floats:
    """Return (M,) the variance of F from noise between models: constant in logits, by REML."""
    slope = _slope(series) ** 2

    def minus(log_variance: float) -> float:
        covariance = series.f_variance + np.exp(log_variance) * slope
        inner = design.T @ (design / covariance[:, None])
        best = np.linalg.solve(inner, design.T @ (series.f / covariance))
        off = series.f - design @ best
        return float(
            np.log(covariance).sum() + np.linalg.slogdet(inner)[1] + (off**2 / covariance).sum()
        )

    found = optimize.minimize_scalar(minus, bounds=(-12.0, 4.0), method="bounded")
    return np.exp(found.x) * slope


def _slope(series: RateSeries) -> Floats:
    p = np.clip(series.rate, 1e-300, 1 - 1e-9)
    return (1 - p) / np.abs(np.log(p))


def _line(p: Floats, z: Floats) -> Floats:
    return p[0] - p[1] * z


def _steps(p: Floats, z: Floats) -> Floats:
    """Require both steps to work: log of the sum of two exponentials of lines."""
    return np.logaddexp(p[0] - p[1] * z, p[2] - p[3] * z)


def _circuits(p: Floats, z: Floats) -> Floats:
    """Let the better circuit answer: a soft minimum of two lines."""
    first, second = p[0] - p[1] * z, p[2] - p[3] * z
    return -SHARPNESS * np.logaddexp(-first / SHARPNESS, -second / SHARPNESS)


FORMS: Mapping[str, tuple[Callable[[Floats, Floats], Floats], int]] = {
    "line": (_line, 2),
    "multi-step": (_steps, 4),
    "multi-circuit": (_circuits, 4),
}


def _forms(series: RateSeries) -> dict[str, float]:
    """Return the mean log density of left-out models' F under every form, one at a time."""
    m = len(series.x)
    if series.x.shape[1] > 1 or m < FEWEST_FOR_FORMS:
        return {}
    z = series.z[:, 0] - series.z[:, 0].mean()
    design = np.stack([np.ones(m), z, z**2], axis=1)
    variance = series.f_variance + between(series, design)
    slope = _slope(series) ** 2
    scores = {}
    for name, (form, size) in FORMS.items():
        total = 0.0
        for i in range(m):
            rest = np.arange(m) != i
            p = _fitted(form, size, z[rest], series.f[rest], variance[rest])
            off = series.f - form(p, z)
            # Noise between models from this form's residuals: constant in logits, as in `between`.
            left = (off[rest] ** 2).sum() * (m - 1) / max(m - 1 - size, 1)
            tau = max(left - series.f_variance[rest].sum(), 0.0) / slope[rest].sum()
            spread = np.sqrt(series.f_variance[i] + tau * slope[i])
            total += float(stats.norm.logpdf(off[i], scale=spread))
        scores[name] = total / m
    return scores


def _fitted(
    form: Callable[[Floats, Floats], Floats], size: int, z: Floats, f: Floats, variance: Floats
) -> Floats:
    slope, level = np.polyfit(z, f, 1, w=1 / np.sqrt(variance))
    starts = [[level, -slope]]
    if size == 4:
        starts = [
            [level, -slope * a, level + up, -slope * b]
            for a, b in ((2.0, 0.2), (0.5, 2.0), (3.0, 1.0))
            for up in (-0.3, 0.3)
        ]
    ends = [
        optimize.least_squares(lambda p: (f - form(p, z)) / np.sqrt(variance), start, max_nfev=300)
        for start in starts
    ]
    found: Floats = min(ends, key=lambda end: end.cost).x
    return found
