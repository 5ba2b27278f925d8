"""Proper scores of a forecast: lower is better, and neither width nor luck improves them for long.

Each takes draws or an interval and the observation, in the same unit. For losses and small rates
take logarithms first: 1e-3 forecast for 1e-5 is as wrong as 1e-1 for 1e-3.
"""

from __future__ import annotations

import numpy as np

from augury.fitting.space import Floats


def crps(draws: Floats, truth: Floats) -> Floats:
    """Return (m,) the CRPS of (S, m) draws: E|X - y| - E|X - X'| / 2.

    Continuous ranked probability score, Gneiting & Raftery 2007, eq. 20. It generalises the
    absolute error to forecasts with uncertainty, in the unit of the forecast; wild tails do not
    dominate it. NaN if a draw is not finite.
    """
    count = len(draws)
    with np.errstate(invalid="ignore", over="ignore"):
        ordered = np.sort(draws, axis=0)
        rank = (2.0 * np.arange(1, count + 1) - count - 1.0)[:, None]
        score = np.abs(draws - truth).mean(0) - (rank * ordered).sum(0) / count**2
    return np.where(np.isfinite(draws).all(0), score, np.nan)


def interval_score(low: Floats, high: Floats, truth: Floats, level: float) -> Floats:
    """Return (m,) Winkler's score of an interval: its width, plus 2 / (1 - level) times the miss.

    Gneiting & Raftery 2007, eq. 43. An interval has the best expected score when its ends are the
    true quantiles.
    """
    miss = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    return np.asarray((high - low) + 2.0 / (1.0 - level) * miss)


def weighted_interval_score(
    middle: Floats, low: Floats, high: Floats, truth: Floats, level: float
) -> Floats:
    """Return (m,) the score of a median and one central interval (Bracher et al. 2021, K = 1).

    (|truth - median| / 2 + (1 - level) / 2 x interval score) / 1.5: as more intervals are added, it
    tends to the CRPS, and it has the same unit as the forecast.
    """
    alpha = 1.0 - level
    spread = interval_score(low, high, truth, level)
    return np.asarray((0.5 * np.abs(truth - middle) + 0.5 * alpha * spread) / 1.5)
