"""Estimates from counts of repeated sampling (pass rate, pass@k, intervals), valid under stopping.

Sampling stops at r passes or at a cap. The likelihood of (passes, samples) is the same under any
rule that depends only on past samples; estimators are not. The ones here are unbiased under "r
passes or the cap": the number of sample paths that begin as required, over all paths that end where
sampling ended (Girshick, Mosteller & Savage 1946). What is undefined is NaN, never 0 or 1 by luck.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.errors import UsageError

Floats = NDArray[np.float64]


def rate_mle(passes: Any, samples: Any) -> Floats:
    """Return the maximum-likelihood rate r/K: PassUntil's PU (Hu et al. 2023, arXiv 2310.03262).

    Biased upwards: its expectation is about r/(r-1) times the rate for r >= 2, and -ln p / (1 - p)
    times for r = 1: 7 at p = 1e-3. Zero where nothing passed: then only the interval is
    informative.
    """
    passes, samples = _counts(passes, samples)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(samples > 0, passes / samples, np.nan)


def rate(passes: Any, samples: Any, r: Any) -> Floats:
    """Return the unbiased pass rate: (r-1)/(K-1) if r passes ended it, passes/samples at the cap.

    Unbiased over both outcomes together. NaN for r = 1 if a pass ended it: the only unbiased
    estimates from one pass are 0 and 1.

    Args:
        passes, samples: (n,) counts.
        r: number of passes at which sampling stops.
    """
    passes, samples = _counts(passes, samples)
    done = passes >= r
    with np.errstate(invalid="ignore", divide="ignore"):
        stopped = np.where(passes > 1, (passes - 1.0) / (samples - 1.0), np.nan)
        return np.where(done, stopped, rate_mle(passes, samples))


def pass_at_k(passes: Any, samples: Any, k: int, r: Any = np.inf) -> Floats:
    """Return the unbiased pass@k: one minus the probability that k samples all fail.

    With r infinite, the number of samples is fixed and this is the estimator of Chen et al. 2021
    (arXiv 2107.03374), eq. 1. If r passes ended sampling, paths end in a pass, which leaves one
    place fewer for the rest; fewer than k samples with r passes among them count as a success. NaN
    where sampling was capped below k: see `pass_at_k_fitted`.

    Args:
        passes, samples: (n,) counts.
        k: number of attempts.
        r: number of passes at which sampling stops.
    """
    from scipy import special

    if k < 1:
        raise UsageError(f"pass@k needs k of at least 1, not {k}")
    passes, samples = _counts(passes, samples)
    done = passes >= r
    places, free = np.where(done, samples - 1, samples), np.where(done, passes - 1, passes)
    # C(places - k, free) / C(places, free), in logarithms.
    with np.errstate(invalid="ignore", divide="ignore"):
        left = places - k - free
        log = (
            special.gammaln(places - k + 1)
            - special.gammaln(left + 1)
            - special.gammaln(places + 1)
            + special.gammaln(places - free + 1)
        )
        failing = np.where(left >= 0, np.exp(log), 0.0)
    return np.where(done | (samples >= k), 1.0 - failing, np.nan)


def eff_at_k(scores: Any, k: int) -> float:
    """Return the unbiased eff@k: the expected best efficiency score among k samples.

    Qiu et al. 2024 (arXiv 2406.06647), eq. 5: the mean of the maximum over all subsets of k scores.
    With scores of 0 and 1 it is pass@k.

    Args:
        scores: (n,) efficiency of each of a fixed number of samples of one instance, 0 where it
            failed. Sampling that stopped at r passes does not give a fixed number.
        k: number of attempts. NaN if there are fewer scores.
    """
    from scipy import special

    ordered = np.sort(np.asarray(scores, float))
    n = len(ordered)
    if k < 1:
        raise UsageError(f"eff@k needs k of at least 1, not {k}")
    if n < k:
        return float("nan")
    below = np.arange(
        n
    )  # number of scores no larger than each: C(below, k - 1) / C(n, k) is its weight
    with np.errstate(invalid="ignore"):
        log = special.gammaln(below + 1) - special.gammaln(k) - special.gammaln(below - k + 2)
    log -= special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return float(np.where(below >= k - 1, np.exp(log) * ordered, 0.0).sum())


def rate_interval(passes: Any, samples: Any, r: Any, level: float = 0.9) -> tuple[Floats, Floats]:
    """Return the (n,) ends of Jeffreys' interval: equal tails, right on average under stopping.

    The posterior under the Fisher-information prior: p^-1 (1-p)^-1/2 if r passes ended it, p^-1/2
    (1-p)^-1/2 at the cap. Starts at 0 where nothing passed.
    """
    passes, samples = _counts(passes, samples)
    done = passes >= r
    a = np.where(done, passes, passes + 0.5)
    b = samples - passes + 0.5
    tail = (1 - level) / 2
    # With no pass the low end is 0, so the high end gets the whole tail.
    none = passes == 0
    from scipy import stats  # .6 s to import, which most commands do not need

    low = np.where(none, 0.0, stats.beta.ppf(tail, a, b))
    high = stats.beta.ppf(np.where(none, level, 1 - tail), a, b)
    empty = samples == 0
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def fitted_beta(passes: Any, samples: Any) -> tuple[float, float]:
    """Fit a beta distribution of pass rates over instances to their counts; return its shape.

    Maximum beta-binomial likelihood, which is valid under any stopping that depends only on past
    samples; instances without a pass count too. NaN with fewer than three instances or no pass.
    (arXiv 2510.05197 fits counts this way rather than regress log pass@k.)
    """
    from scipy import special
    from scipy.optimize import minimize

    passes, samples = _counts(passes, samples)
    if len(passes) < 3 or passes.sum() == 0:
        return float("nan"), float("nan")

    def minus(x: Floats) -> float:
        a, b = np.exp(x)
        return -float(
            np.sum(special.betaln(a + passes, b + samples - passes) - special.betaln(a, b))
        )

    mean = max(float(passes.sum() / samples.sum()), 1e-12)
    ends = [
        minimize(minus, np.log([s, s / mean]), method="Nelder-Mead", options={"maxiter": 4000})
        for s in (0.1, 0.5, 2.0)
    ]
    a, b = np.exp(min(ends, key=lambda e: e.fun).x)
    return float(a), float(b)


def pass_at_k_fitted(passes: Any, samples: Any, k: int) -> float:
    """Return mean pass@k over instances for any k, from the fitted beta distribution."""
    from scipy import special

    a, b = fitted_beta(passes, samples)
    return float(1.0 - np.exp(special.betaln(a, b + k) - special.betaln(a, b)))


def mean_interval(passes: Any, samples: Any, r: Any, level: float = 0.9) -> tuple[float, float]:
    """Return the interval of the mean pass rate over just these instances (sampling error only).

    A gamma distribution with the mean and variance of the sum of the unbiased rates. For a single
    instance that r passes ended it is the exact pivot, K p ~ Gamma(r); for a single capped one,
    Jeffreys' interval of a Poisson count; for many, the normal interval. (Jeffreys' posteriors of
    the instances must not be added: where most instances never pass, the prior outweighs the data.)
    Starts at 0, with the exact bound, where nothing passed; NaN for r = 1 if a pass ended an
    instance, as in `rate`.
    """
    passes, samples = _counts(passes, samples)
    if not samples.sum():
        return float("nan"), float("nan")
    if not passes.sum():
        return 0.0, min(float(-np.log1p(-level) / samples.sum()), 1.0)
    mean, shape = mean_and_shape(passes, samples, r)
    if np.isinf(shape):  # every sample passed
        low, _ = rate_interval(passes.sum(), samples.sum(), passes.sum(), level)
        return float(low[0]), 1.0
    tail = (1 - level) / 2
    extra = 0.5 + 0.5 * float((passes >= r).mean())
    from scipy import stats

    low, high = np.minimum(stats.gamma.ppf([tail, 1 - tail], shape + extra) * mean / shape, 1.0)
    return float(low), float(high)


def mean_and_shape(passes: Any, samples: Any, r: Any) -> tuple[float, float]:
    """Return the mean pass rate over instances, and mean^2 / variance: its effective passes.

    The variance is that of sampling alone, for these instances; what capped instances may hide
    counts as half a pass, in mean and variance. Infinite if every sample passed.
    """
    passes, samples = _counts(passes, samples)
    done = np.broadcast_to(passes >= r, passes.shape)
    rates = rate(passes, samples, r)
    # The square of (r-1)/(K-1), minus the unbiased estimate of p^2. Capped instances are one
    # Poisson count, plus half a pass for what they may hide, as in Jeffreys' prior.
    hidden = float(np.max(np.where(done, 0.0, 1.0) / samples)) / 2
    c, k = passes[done], samples[done]
    with np.errstate(invalid="ignore", divide="ignore"):
        square = np.where(k > c, (c - 1) * (c - 2) / ((k - 1) * (k - 2)), 1.0)
    variance = float((rates[done] ** 2 - square).sum())
    variance += float((passes[~done] / samples[~done] ** 2).sum())
    variance += 2 * hidden**2
    total = float(rates.sum()) + hidden
    return total / len(passes), total**2 / variance if variance > 0 else float("inf")


def _counts(passes: Any, samples: Any) -> tuple[Floats, Floats]:
    p, n = (np.atleast_1d(np.asarray(x, float)) for x in (passes, samples))
    if (p < 0).any() or (p > n).any():
        i = int(np.argmax((p < 0) | (p > n)))
        raise UsageError(
            f"{p[i]:g} passes of {n[i]:g} samples: expected between 0 and the number of samples"
        )
    return p, n
