"""Interval of the mean pass rate over instances, some of which pass often."""

from __future__ import annotations

from typing import Any

import numpy as np

from augury.data import counts
from augury.data.counts import Floats

# Instances whose r passes took at most this many times r samples pass "often": no more failures
# than passes. By simulation with the truth in view, 2,000 each: with 2, the intervals of every set
# of rates of the claims cover 90-93 % of the time; with 3, those of sixteen rates from 0 to 1 cover
# 96 %.
OFTEN = 2.0


def mean_rate_interval(passes: Any, samples: Any, r: Any, level: float) -> tuple[float, float]:
    """Return the interval of the mean pass rate over just these instances (sampling error only).

    As `counts.mean_interval`, except for the low end where instances pass often. Their unbiased
    variance is smallest when their rates are overestimated most: r passes in r samples give a rate
    of 1 and a variance of 0. With r = 2 the interval would lie above the truth 15 % of the time. So
    these instances get the variance of the unbiased rate at their pooled rate if that is larger.
    The gap to 1 is a count of a few failures, skewed upwards, so its upper end is that of a gamma
    distribution, as for few passes; the normal one is too low (sixteen rates of .99 with r = 20,
    about three failures in all, would be covered 80 % of the time). If every sample passed, the
    exact bound applies. Their distance and that of the rest are added in squares (Zou & Donner
    2008).

    If the cap ended every instance, sample sizes are fixed, and the interval is that of
    `_fixed_interval`.
    """
    low, high = counts.mean_interval(passes, samples, r, level)
    c, k = (np.atleast_1d(np.asarray(x, float)) for x in (passes, samples))
    stop = np.broadcast_to(np.asarray(r, float), c.shape)
    if (c < stop).all() and (k > 0).all() and c.any():
        return _fixed_interval(c, k, level)
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


def _fixed_interval(c: Floats, k: Floats, level: float) -> tuple[float, float]:
    """Return the interval of the mean rate if each instance had a fixed number of samples.

    Jeffreys' beta distribution with the total sample size that gives the variance of the mean,
    which is below a binomial's where rates differ between instances. The variance of a count of
    rare passes would be 1/(1-p) times too large: the interval of many rates of .9 three times too
    wide. Half a pass is added, as in `counts.mean_and_shape`: the variance of instances that never
    or always passed is not zero. If every sample passed, the exact bound applies: n samples at each
    of rates with mean m all pass with probability at most m^n.
    """
    if (c == k).all():
        return float((1 - level) ** (1 / (len(c) * k.min()))), 1.0
    from scipy import stats  # .6 s to import, which most commands do not need

    rates = c / k
    mean = float(rates.mean())
    if len(c) == 1:
        worth = float(k[0])
    else:
        # One sample does not show its instance's spread: the pooled rate does.
        each = np.where(k > 1, rates * (1 - rates) / np.maximum(k - 1, 1), mean * (1 - mean))
        variance = float(each.sum() + 0.5 / k.min() ** 2) / len(c) ** 2
        worth = mean * (1 - mean) / variance
    tail = (1 - level) / 2
    ends = stats.beta.ppf([tail, 1 - tail], worth * mean + 0.5, worth * (1 - mean) + 0.5)
    return float(ends[0]), float(ends[1])


def _distance(c: Floats, k: Floats, r: Floats, tail: float) -> float:
    """Return the distance from the low end to the unbiased sum of rates of frequent passers."""
    from scipy import special, stats  # .6 s to import, which most commands do not need

    with np.errstate(invalid="ignore", divide="ignore"):
        square = np.where(k > c, (c - 1) * (c - 2) / ((k - 1) * (k - 2)), 1.0)
    rates = counts.rate(c, k, r)
    variance = float((rates**2 - square).sum())
    # Best 1974: the variance of (r-1)/(K-1) is p^2 (2F1(1, 1; r; 1-p) - 1).
    p = c.sum() / (k.sum() + 0.5)
    pooled = float((p**2 * (special.hyp2f1(1.0, 1.0, r, 1 - p) - 1)).sum())
    lacking = float((1 - rates).sum())
    distance = 0.0
    if lacking > 0:
        shape = lacking**2 / max(variance, pooled)
        distance = float(stats.gamma.isf(tail, shape)) * lacking / shape - lacking
    whole = c[k == c]
    if len(whole):
        bound = len(whole) * (1 - float(stats.beta.ppf(tail, whole.sum(), 0.5)))
        distance = max(distance, bound)
    return distance
