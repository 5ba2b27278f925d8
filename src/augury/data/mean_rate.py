"""Interval of the mean pass rate over instances, of which some pass often after few passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from augury.data import counts
from augury.data.counts import Floats

# Instances whose r passes took at most so many times r samples pass "often". Chosen by simulation
# with the truth in view, for intervals that hold 85-95 % of the time: with 2 those of the capitals
# of docs/real-model.md hold 89 % (r = 2), with 3 91 %; with 4 those of sixteen rates from 0 to 1
# hold more than 95 %.
OFTEN = 3.0


def mean_rate_interval(passes: Any, samples: Any, r: Any, level: float) -> tuple[float, float]:
    """Interval of the mean pass rate over just these instances: what sampling leaves open.

    As `counts.mean_interval`, but for the low end where instances pass often. Their unbiased
    variance is smallest when their rates are overestimated the most: r passes of r samples give a
    rate of 1 and a variance of 0. With r = 2 the interval would lie above the truth 15 % of the
    time. So they count the variance of the unbiased rate at their pooled rate where that is larger,
    or, where every sample passed, what the exact bound leaves open. Their distance and that of the
    rest, by the gamma distribution, are added in squares (Zou & Donner 2008).
    """
    low, high = counts.mean_interval(passes, samples, r, level)
    c, k = (np.atleast_1d(np.asarray(x, float)) for x in (passes, samples))
    stop = np.broadcast_to(np.asarray(r, float), c.shape)
    often = (c >= stop) & (k <= OFTEN * c) & (k > 0)
    if len(c) == 1 or not often.any() or not np.isfinite(low):
        return low, high
    tail, rest = (1 - level) / 2, ~often
    distance = _distance(c[often], k[often], stop[often], tail)
    if c[rest].any():
        below = counts.mean_interval(c[rest], k[rest], stop[rest], level)[0]
        own = float(counts.rate(c[rest], k[rest], stop[rest]).mean())
        distance = float(np.hypot(distance, max(own - below, 0.0) * int(rest.sum())))
    mean = float(counts.rate(c, k, stop).mean())
    return min(low, max(mean - distance / len(c), 0.0)), high


def _distance(c: Floats, k: Floats, r: Floats, tail: float) -> float:
    """From the low end to the unbiased sum of rates of instances that pass often."""
    from scipy import special, stats  # .6 s to import, which most commands need not pay

    with np.errstate(invalid="ignore", divide="ignore"):
        square = np.where(k > c, (c - 1) * (c - 2) / ((k - 1) * (k - 2)), 1.0)
    variance = float((counts.rate(c, k, r) ** 2 - square).sum())
    # Best 1974: the variance of (r-1)/(K-1) is p^2 (2F1(1, 1; r; 1-p) - 1).
    p = c.sum() / (k.sum() + 0.5)
    pooled = float((p**2 * (special.hyp2f1(1.0, 1.0, r, 1 - p) - 1)).sum())
    distance = float(stats.norm.isf(tail)) * max(variance, pooled) ** 0.5
    whole = c[k == c]
    if len(whole):
        bound = len(whole) * (1 - float(stats.beta.ppf(tail, whole.sum(), 0.5)))
        distance = max(distance, bound)
    return distance
