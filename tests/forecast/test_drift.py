"""Error that grows with distance: recovered if present, small if absent."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury.forecast.combination import weights_of
from augury.forecast.drift import learn_drift

HALF = stats.norm.isf(0.05)


def errors(drift: float, rng: np.random.Generator, cuts: int = 8) -> pl.DataFrame:
    """Forecasts of 100 whose 90 % intervals are right except for a random walk."""
    distance = np.tile(np.linspace(0.3, 2.0, 5), cuts)
    walk = np.repeat(rng.standard_normal(cuts), 5)
    off = 0.01 * rng.standard_normal(5 * cuts) + drift * np.sqrt(distance) * walk
    return pl.DataFrame(
        {
            "law": "a", "cut": np.repeat(np.arange(cuts), 5), "distance": distance, "value": 100.0,
            "observed": 100 * np.exp(off), "low": 100 * np.exp(-0.01 * HALF),
            "high": 100 * np.exp(0.01 * HALF),
        }
    )  # fmt: skip


def test_a_drift_is_recovered_and_none_is_small() -> None:
    rng = np.random.default_rng(0)
    found = [learn_drift(errors(0.1, rng), {"a": 1.0}, 0.9, "log").mean for _ in range(50)]
    assert 0.07 < np.median(found) < 0.15
    none = [learn_drift(errors(0.0, rng), {"a": 1.0}, 0.9, "log").mean for _ in range(50)]
    assert np.median(none) < 0.01  # smaller than the law's own


def test_a_wild_interval_of_one_cut_does_not_stretch_the_rest() -> None:
    """A factor of up to three on logs cubed per decade; evidence adds and does not multiply."""
    rng = np.random.default_rng(1)
    rows = errors(0.0, rng)
    wild = rows.with_columns(
        observed=pl.when(pl.col("cut") == 0).then(pl.col("observed") * 2).otherwise("observed")
    )
    draws = 100 * np.exp(0.01 * rng.standard_normal((4000, 1)))
    drift = learn_drift(wild, {"a": 1.0}, 0.9, "log")
    moved = np.log(drift.added_to(draws, np.array([1.0]), rng))
    low, high = np.quantile(moved, [0.05, 0.95])
    assert high - low < 0.2
    still = drift.added_to(draws, np.array([0.0]), rng)
    assert still == pytest.approx(draws)


def test_weights_start_equal_and_move_with_the_cuts() -> None:
    scores = {"a": 1.0, "b": 2.0}
    assert weights_of(scores, 0) == {"a": 0.5, "b": 0.5}
    moved = [weights_of(scores, cuts)["a"] for cuts in (1, 2, 4, 8)]
    assert moved == sorted(moved)
    assert 0.5 < moved[0] < moved[-1] < 0.8  # 1 / score^2 alone gives .8
    assert weights_of({"a": 1.0, "b": 20.0}, 4) == {"a": 1.0}
