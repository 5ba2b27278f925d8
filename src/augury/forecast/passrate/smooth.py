"""Growth without a form: a line that may bend, with the noise between models estimated.

F = log(-log p) is a line in log scale plus an integrated Wiener process (a cubic smoothing spline,
Wahba 1978) plus noise of each model: what another seed would have given, on the logit of its pass
rate, besides the sampling error that the counts tell. How much it bends and how large the noise is
are integrated over, not fixed: with five models neither is known. Beyond the data it goes on with
the slope it has there, ever less sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import special

from augury.forecast.passrate.series import Floats, Series, from_f, to_f

# Noise between models, as the standard deviation of a logit: seeds of the lab differ by a factor
# of 1.3 at small sizes and up to 10 where an ability is just appearing.
NOISE = np.geomspace(0.05, 2.5, 12)
NOISE_PRIOR = (np.log(0.4), 0.8)
# Where an ability is appearing, one run has it and the next has not: noise that grows with scale.
GROWING = (0.0, 1.0, 3.0)
# Bend, as the standard deviation of the deviation from the line one range of the data further on,
# in units of how far F falls over that range. 0 is the line.
BEND = np.concatenate([[0.0], np.geomspace(0.05, 2.0, 9)])
BEND_PRIOR = (np.log(0.3), 1.0)
LINE_SHARE = 0.3
# Ceilings, as multiples of the largest rate seen; and the share of the prior that has none.
CEILINGS = (2.0, 5.0, 15.0, 50.0)
NO_CEILING_SHARE = 0.9
# Lines are known to fall; how fast is left to the data within ten times what it seems.
LEVEL_SCALE, SLOPE_SCALE = 30.0, 10.0


@dataclass(frozen=True)
class Form:
    """One member of the family.

    Attributes:
        noise: between models at the small end, standard deviation of a logit.
        growing: how much of it the range of the data adds, and every range beyond.
        bend, ceiling: as above.
    """

    noise: float
    growing: float
    bend: float
    ceiling: float

    def noise_at(self, t: Floats) -> Floats:
        """Noise at (q, k) scaled places, by the place farthest along."""
        return self.noise * (1 + self.growing * np.maximum(t.max(1), 0.0))


@dataclass(frozen=True)
class Smooth:
    """A fitted smooth trend: the members of the family and their weights."""

    series: Series
    forms: list[Form]
    weights: Floats

    def draws(self, x: Floats, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """(n, q) pass rates above chance at (q, k) scales: of the mean, and of a new model each."""
        which = rng.choice(len(self.forms), size=n, p=self.weights)
        mean, run = np.empty((n, len(x))), np.empty((n, len(x)))
        for i in np.unique(which):
            rows, form = np.flatnonzero(which == i), self.forms[i]
            at, covariance = _posterior(self.series, x, form)
            root = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(x)))
            f = at + rng.standard_normal((len(rows), len(x))) @ root.T
            rate = form.ceiling * from_f(f)
            mean[rows] = rate
            noise = form.noise_at(_scaled(self.series, x)) * rng.standard_normal(rate.shape)
            run[rows] = special.expit(_logit(rate) + noise)
        return mean, run

    def share(self, what: str, above: float = 0.0) -> float:
        """Posterior probability that noise, bend or ceiling lies above this."""
        return float(self.weights[[getattr(f, what) > above for f in self.forms]].sum())


def fit_smooth(series: Series, *, bends: bool = True, ceilings: bool = True) -> Smooth:
    """Weigh every member of the family by its marginal likelihood and prior.

    Args:
        series: at least three models.
        bends, ceilings: False leaves these members out: neither is a line with noise.
    """
    forms, score = [], []
    top = float(series.rate.max())
    possible = [1.0, *[c * top for c in CEILINGS if ceilings and c * top < 0.9]]
    for noise, growing in product(NOISE, GROWING):
        prior = -0.5 * ((np.log(noise) - NOISE_PRIOR[0]) / NOISE_PRIOR[1]) ** 2
        for bend in BEND if bends else BEND[:1]:
            bent = (np.log(LINE_SHARE) if bend == 0 else _bend_prior(bend)) if bends else 0.0
            for ceiling in possible:
                form = Form(float(noise), growing, float(bend), ceiling)
                share = NO_CEILING_SHARE if ceiling == 1 else 1 - NO_CEILING_SHARE
                share /= 1 if ceiling == 1 else len(possible) - 1
                forms.append(form)
                score.append(prior + bent + np.log(share) + _evidence(series, form))
    found = np.array(score)
    weights = np.exp(found - found.max())
    return Smooth(series, forms, weights / weights.sum())


def _bend_prior(bend: float) -> float:
    each = np.exp(-0.5 * ((np.log(BEND[1:]) - BEND_PRIOR[0]) / BEND_PRIOR[1]) ** 2)
    own = np.exp(-0.5 * ((np.log(bend) - BEND_PRIOR[0]) / BEND_PRIOR[1]) ** 2)
    return float(np.log((1 - LINE_SHARE) * own / each.sum()))


def _logit(p: Floats) -> Floats:
    return special.logit(np.clip(p, 1e-300, 1 - 1e-12))


def _f(series: Series, ceiling: float) -> Floats:
    return to_f(series.rate / ceiling)


def _below(series: Series, ceiling: float) -> Floats:
    """(M,) log(ceiling / rate): 1 over the slope of F in log p."""
    return -np.log(np.clip(series.rate / ceiling, 1e-300, 1 - 1e-9))


def _noise(series: Series, form: Form) -> Floats:
    """(M,) variance of F: of sampling, and of the noise between models."""
    below = _below(series, form.ceiling)
    noise = form.noise_at(_scaled(series, series.x))
    return 1 / (series.shape * below**2) + (noise * (1 - series.rate) / below) ** 2


def _scaled(series: Series, x: Floats) -> Floats:
    """(q, k) places on a scale where the models of the series span 0 to 1."""
    z = series.z
    low, span = z.min(0), np.maximum(np.ptp(z, axis=0), 1e-9)
    return (series.along(x) - low) / span


def _kernel(a: Floats, b: Floats) -> Floats:
    """Covariance of an integrated Wiener process that starts where the data do, per scale, added.

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
    """How far F falls over the data: the unit of slopes and bends."""
    return max(float(np.ptp(f)), 0.05)


def _parts(series: Series, form: Form) -> tuple[Floats, Floats, Floats, Floats]:
    t, f = _scaled(series, series.x), _f(series, form.ceiling)
    unit = _spread(f)
    prior = np.diag([LEVEL_SCALE**2, *[(SLOPE_SCALE * unit) ** 2] * t.shape[1]])
    h = _design(t)
    covariance = h @ prior @ h.T + (form.bend * unit) ** 2 * _kernel(t, t)
    return t, f, prior, covariance + np.diag(_noise(series, form))


def _evidence(series: Series, form: Form) -> float:
    """Log marginal likelihood of the logarithms of the rates, which all ceilings share."""
    _, f, _, covariance = _parts(series, form)
    root = np.linalg.cholesky(covariance)
    off = np.linalg.solve(root, f - f.mean())
    change = np.log(_below(series, form.ceiling)).sum()
    return float(-0.5 * off @ off - np.log(np.diag(root)).sum() - change)


def _posterior(series: Series, x: Floats, form: Form) -> tuple[Floats, Floats]:
    """Mean and covariance of F at (q, k) places, without the noise of a new model."""
    t, f, prior, covariance = _parts(series, form)
    at = _scaled(series, x)
    unit = (form.bend * _spread(f)) ** 2
    cross = _design(at) @ prior @ _design(t).T + unit * _kernel(at, t)
    own = _design(at) @ prior @ _design(at).T + unit * _kernel(at, at)
    gain = np.linalg.solve(covariance, cross.T).T
    centre = f.mean()
    return centre + gain @ (f - centre), own - gain @ cross.T
