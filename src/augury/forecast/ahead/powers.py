"""A loss as a floor plus a power of each scale, with the exponents integrated out.

    loss = E + A N^-a + B D^-b,  E, A, B >= 0

For given exponents that is linear, so a grid of exponents, weighted by likelihood and a prior,
gives the whole posterior without a search. A few runs do not determine the exponents; a law with
fitted ones then says nothing, and this uses what the prior knows.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import nnls

from augury.fitting.space import Floats
from augury.forecast.ahead.line import (
    FEWEST_SPARE,
    Ladder,
    LineForecast,
    Walk,
    usual_walk,
    weights_of,
    with_walk,
)
from augury.forecast.ahead.runs import points_per_run
from augury.forecast.links import LOG

# Exponents tried, in units of the usual one, and the spread of the prior on their logarithm:
# published laws lie within a factor of two.
TRIED = np.linspace(0.3, 1.9, 7)
SPREAD = 0.5
# The usual exponent of a loss over params or tokens, and over FLOPs, half of which go to each.
USUAL = {"flops": 0.15}
ELSE = 0.32
LEAST = 1e-9


def powers_ahead(ladder: Ladder, walk: Walk, local: float | None = None) -> LineForecast:
    """Forecast a loss on the scale of logarithms; arguments as in `line_ahead`."""
    return with_walk(ladder, LOG.to, walk, lambda own: _fit(own, walk, local))


def _fit(ladder: Ladder, walk: Walk, local: float | None) -> tuple[LineForecast, Floats]:
    """Return the mean of the posterior without a walk, and (m,) the variance of the usual walk."""
    k = ladder.scales.shape[1]
    weights = weights_of(ladder, local)
    points = float(weights.sum() ** 2 / (weights**2).sum())
    usual = np.array([USUAL.get(name, ELSE) for name in ladder.names] or [ELSE] * k)
    shares = np.array(list(itertools.product(TRIED, repeat=k)))
    fits = [_fit_exponents(ladder, weights, usual * share) for share in shares]
    middle, unit, fitted = (np.array(x) for x in zip(*fits, strict=True))
    residual = fitted - np.log(ladder.y)
    squares = residual**2 @ weights / weights.sum()
    alike = points_per_run(residual[squares.argmin()], weights, ladder.run)
    worth = points / alike
    freedom = max(worth - 1 - k, FEWEST_SPARE) + walk.worth
    noise = (squares * worth + walk.worth * walk.noise**2) / freedom
    found = -0.5 * (freedom * np.log(noise) + (np.log(shares) ** 2).sum(1) / SPREAD**2)
    share = np.exp(found - found.max())
    share /= share.sum()
    mean = share @ middle
    trend = share @ (alike * noise[:, None] * unit) + share @ (middle - mean) ** 2
    strays = usual_walk(ladder, walk, share @ fitted, mean)
    return (
        LineForecast(mean, trend, np.zeros_like(mean), float(share @ noise), freedom),
        strays,
    )


def _fit_exponents(
    ladder: Ladder, weights: Floats, exponents: Floats
) -> tuple[Floats, Floats, Floats]:
    """Fit by least squares of relative errors: log forecasts at targets, variance, and at points.

    The variance is in units of the noise variance.
    """
    middle = ladder.scales.mean(0)
    design, at = (
        np.column_stack([np.ones(len(x)), np.exp(-exponents * (x - middle))])
        for x in (ladder.scales, ladder.at)
    )
    relative = design / ladder.y[:, None]
    root = np.sqrt(weights)
    best = nnls(relative * root[:, None], root)[0]
    inside = best > 0
    some = relative[:, inside]
    inverse = np.linalg.pinv((some * weights[:, None]).T @ some)
    covariance = inverse @ ((some * weights[:, None] ** 2).T @ some) @ inverse
    ahead = np.maximum(at @ best, LEAST)
    unit = np.einsum("qi,ij,qj->q", at[:, inside], covariance, at[:, inside]) / ahead**2
    return np.log(ahead), unit, np.log(np.maximum(relative @ best, LEAST) * ladder.y)
