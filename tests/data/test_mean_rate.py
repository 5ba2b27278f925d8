"""Interval of the mean pass rate at fixed numbers of samples, against binomial simulation."""

import numpy as np
import pytest

from augury.data.counts import rate_interval
from augury.data.mean_rate import mean_rate_interval

ROUNDS = 300
# Rates of the instances, and samples per instance.
SETTINGS = {
    "four of .75": (np.full(4, 0.75), 20),
    "ten of .75": (np.full(10, 0.75), 24),
    "ten of .9": (np.full(10, 0.9), 20),
    "ten of .1": (np.full(10, 0.1), 20),
    "forty of .01": (np.full(40, 0.01), 50),
    "forty of any rate": (np.linspace(0.02, 0.98, 40), 5),
    "nearly always or nearly never": (np.tile([0.98, 0.02], 20), 20),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_intervals_hold_and_are_as_wide_as_the_mean_varies(name: str) -> None:
    """The true rates give the standard error of the mean; the interval is not wider than needed."""
    rates, n = SETTINGS[name]
    draws = np.random.default_rng(0).binomial(n, rates, (ROUNDS, len(rates)))
    samples = np.full(len(rates), n)
    ends = np.array([mean_rate_interval(c, samples, np.inf, 0.9) for c in draws])
    held = np.mean((ends[:, 0] <= rates.mean()) & (rates.mean() <= ends[:, 1]))
    wide = 2 * 1.645 * np.sqrt((rates * (1 - rates) / n).sum()) / len(rates)
    assert 0.85 <= held <= 0.97
    assert np.diff(ends).mean() == pytest.approx(wide, rel=0.12)


def test_one_instance_has_its_own_interval() -> None:
    low, high = rate_interval(18, 20, np.inf, 0.9)
    assert mean_rate_interval([18], [20], np.inf, 0.9) == pytest.approx((low[0], high[0]))


def test_failures_and_passes_change_places() -> None:
    """1 - rate has the mirrored interval, also with one sample per instance or unequal numbers."""
    for samples in (np.array([1, 1, 1, 1, 1]), np.array([1, 5, 20, 7, 50]), np.full(5, 9)):
        passes = np.array([0, 1, 1, 0, 1]) * samples
        low, high = mean_rate_interval(passes, samples, np.inf, 0.9)
        assert 0 < low < (passes / samples).mean() < high < 1
        mirrored = mean_rate_interval(samples - passes, samples, np.inf, 0.9)
        assert mirrored == pytest.approx((1 - high, 1 - low))


def test_rare_passes_are_counted_as_before() -> None:
    """At 1e-6, the beta distribution is the gamma distribution of a count of five and a half."""
    from scipy import stats

    low, high = mean_rate_interval([3, 2], [10**6] * 2, np.inf, 0.9)
    assert [low, high] == pytest.approx(stats.gamma.ppf([0.05, 0.95], 5.5) / 2e6, rel=0.06)


def test_where_every_sample_passed_the_exact_bound_is_left() -> None:
    """At the low end, six of six passes have probability .1."""
    low, high = mean_rate_interval([2, 2, 2], [2, 2, 2], np.inf, 0.9)
    assert (low**6, high) == (pytest.approx(0.1), 1.0)
