"""Growth without a fixed form: a line that may bend, with estimated noise between models.

F = log(-log p) is a line in log scale plus an integrated Wiener process (a cubic smoothing spline,
Wahba 1978) plus noise per model. This noise is the variation between seeds, on the logit of the
pass rate, in addition to the sampling error known from the counts. The sizes of bend and noise are
integrated out, not fixed, because five models determine neither. Beyond the data the curve
continues with its last slope and growing uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import special

from augury.forecast.passrate.rate_series import Floats, RateSeries, from_f, to_f

# Noise between models, as the standard deviation of a logit: seeds of the lab differ by a factor
# of 1.3 at small sizes and up to 10 where an ability is just appearing.
NOISE = np.geomspace(0.05, 2.5, 12)
NOISE_PRIOR = (np.log(0.4), 0.8)
# Bend: the standard deviation of the deviation from the line one range of the data beyond it, in
# units of F's fall over that range. 0 is the line.
BEND = np.concatenate([[0.0], np.geomspace(0.05, 2.0, 9)])
BEND_PRIOR = (np.log(0.3), 1.0)
LINE_SHARE = 0.3
# Ceilings, as multiples of the largest rate seen, and the prior probability of no ceiling. On the
# development half of benchmarks/scorecard, a probability of .9 and noise that grows with scale cost
# width and gained nothing: interval scores of .51, .55, .82 (arithmetic, worlds, rule) instead of
# .41, .40, .57 with these settings.
CEILINGS = (2.0, 5.0, 15.0, 50.0)
NO_CEILING_SHARE = 0.98
# Lines are known to fall; the data decide how fast, within a factor of ten of the estimate.
LEVEL_SCALE, SLOPE_SCALE = 30.0, 10.0


@dataclass(frozen=True)
class Form:
    """One member of the family.

    Attributes:
        noise: noise between models, the standard deviation of a logit.
        bend, ceiling: as above.
    """

    noise: float
    bend: float
    ceiling: float


@dataclass(frozen=True)
class Smooth:
    """A fitted smooth trend: the members of the family and their weights."""

    series: RateSeries
    forms: list[Form]
    weights: Floats

    def draws(self, x: Floats, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return (n, q) pass rates above chance at (q, k) scales: the mean's, new models'."""
        which = rng.choice(len(self.forms), size=n, p=self.weights)
        mean, run = np.empty((n, len(x))), np.empty((n, len(x)))
        for i in np.unique(which):
            rows, form = np.flatnonzero(which == i), self.forms[i]
            at, covariance = _posterior(self.series, x, form)
            root = square_root(covariance + 1e-10 * np.eye(len(x)))
            f = at + rng.standard_normal((len(rows), len(x))) @ root.T
            rate = form.ceiling * from_f(f)
            mean[rows] = rate
            noise = form.noise * rng.standard_normal(rate.shape)
            run[rows] = special.expit(_logit(rate) + noise)
        return mean, run

    def share(self, what: str, above: float = 0.0) -> float:
        """Return the posterior probability that noise, bend or ceiling exceeds this."""
        return float(self.weights[[getattr(f, what) > above for f in self.forms]].sum())


def fit_smooth(series: RateSeries, *, bends: bool = True, ceilings: bool = True) -> Smooth:
    """Weight every member of the family by its marginal likelihood and prior.

    Args:
        series: at least three models.
        bends, ceilings: False leaves these members out; without both it is a line with noise.
    """
    forms, score = [], []
    top = float(series.rate.max())
    possible = [1.0, *[c * top for c in CEILINGS if ceilings and c * top < 0.9]]
    for noise, bend in product(NOISE, BEND if bends else BEND[:1]):
        prior = -0.5 * ((np.log(noise) - NOISE_PRIOR[0]) / NOISE_PRIOR[1]) ** 2
        bent = (np.log(LINE_SHARE) if bend == 0 else _bend_prior(bend)) if bends else 0.0
        for ceiling in possible:
            share = NO_CEILING_SHARE if ceiling == 1 else 1 - NO_CEILING_SHARE
            share /= 1 if ceiling == 1 else len(possible) - 1
            forms.append(Form(float(noise), float(bend), ceiling))
            score.append(prior + bent + np.log(share))
    found = np.array(score) + _evidence(series, forms)
    weights = np.exp(found - found.max())
    return Smooth(series, forms, weights / weights.sum())


def square_root(covariance: Floats) -> Floats:
    """Return a root R with R R^T = covariance, even if rounding made it slightly non-positive."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=float)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :], dtype=float)


def _bend_prior(bend: float) -> float:
    each = np.exp(-0.5 * ((np.log(BEND[1:]) - BEND_PRIOR[0]) / BEND_PRIOR[1]) ** 2)
    own = np.exp(-0.5 * ((np.log(bend) - BEND_PRIOR[0]) / BEND_PRIOR[1]) ** 2)
    return float(np.log((1 - LINE_SHARE) * own / each.sum()))


def _logit(p: Floats) -> Floats:
    return special.logit(np.clip(p, 1e-300, 1 - 1e-12))


def _f(series: RateSeries, ceiling: float) -> Floats:
    return to_f(series.rate / ceiling)


def _below(series: RateSeries, ceiling: float) -> Floats:
    """Return (M,) log(ceiling / rate): 1 over the slope of F in log p."""
    return -np.log(np.clip(series.rate / ceiling, 1e-300, 1 - 1e-9))


def _scaled(series: RateSeries, x: Floats) -> Floats:
    """Map (q, k) points to a scale where the models of the series span 0 to 1."""
    z = series.z
    low, span = z.min(0), np.maximum(np.ptp(z, axis=0), 1e-9)
    return (series.along(x) - low) / span


def _kernel(a: Floats, b: Floats) -> Floats:
    """Sum per scale the covariance of an integrated Wiener process that starts at the data's start.

    Its standard deviation is 1 one range beyond the data's end, where t = 2.
    """
    total = np.zeros((len(a), len(b)))
    for k in range(a.shape[1]):
        s = np.maximum(a[:, k][:, None], 0.0)
        t = np.maximum(b[:, k][None, :], 0.0)
        small, large = np.minimum(s, t), np.maximum(s, t)
        total += small**2 * (3 * large - small) / 6 / (8 / 3)
    return total


def _design(t: Floats) -> Floats:
    return np.concatenate([np.ones((len(t), 1)), t], axis=1)


def _spread(f: Floats) -> float:
    """Return how far F falls over the data: the unit of slopes and bends."""
    return max(float(np.ptp(f)), 0.05)


class _Parts(NamedTuple):
    """Arrays of G members: t (M, k) places; f (G, M) values of F; prior (G, 1 + k, 1 + k) of level
    and slopes; bend (G,) variance of the bend; covariance (G, M, M) of f; change (G,) log Jacobian
    from f to log rates.
    """

    t: Floats
    f: Floats
    prior: Floats
    bend: Floats
    covariance: Floats
    change: Floats


def _parts(series: RateSeries, forms: Sequence[Form]) -> _Parts:
    t = _scaled(series, series.x)
    h = _design(t)
    ceilings, of = np.unique([form.ceiling for form in forms], return_inverse=True)
    f = np.stack([_f(series, c) for c in ceilings])
    below = np.stack([_below(series, c) for c in ceilings])
    unit = np.array([_spread(each) for each in f])
    prior = np.stack(
        [np.diag([LEVEL_SCALE**2, *[(SLOPE_SCALE * u) ** 2] * t.shape[1]]) for u in unit]
    )
    bend = (np.array([form.bend for form in forms]) * unit[of]) ** 2
    # Variance of F from sampling, and from the noise between models.
    noise = np.array([form.noise for form in forms])[:, None]
    variance = (1 / (series.shape * below**2))[of] + (noise * (1 - series.rate) / below[of]) ** 2
    covariance = (h @ prior @ h.T)[of] + bend[:, None, None] * _kernel(t, t)
    covariance[:, np.arange(len(t)), np.arange(len(t))] += variance
    return _Parts(t, f[of], prior[of], bend, covariance, -np.log(below).sum(1)[of])


def _evidence(series: RateSeries, forms: Sequence[Form]) -> Floats:
    """Return (G,) log marginal likelihoods of the log rates, which all ceilings share."""
    parts = _parts(series, forms)
    root = np.linalg.cholesky(parts.covariance)
    off = np.linalg.solve(root, (parts.f - parts.f.mean(1, keepdims=True))[:, :, None])[:, :, 0]
    half = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)
    return np.asarray(-0.5 * (off**2).sum(1) - half + parts.change)


def _posterior(series: RateSeries, x: Floats, form: Form) -> tuple[Floats, Floats]:
    """Return mean and covariance of F at (q, k) points, without the noise of a new model."""
    t, (f,), (prior,), (bend,), (covariance,), _ = _parts(series, [form])
    at = _scaled(series, x)
    cross = _design(at) @ prior @ _design(t).T + bend * _kernel(at, t)
    own = _design(at) @ prior @ _design(at).T + bend * _kernel(at, at)
    gain = np.linalg.solve(covariance, cross.T).T
    centre = f.mean()
    return centre + gain @ (f - centre), own - gain @ cross.T
