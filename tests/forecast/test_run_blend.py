"""The end of a run from its own curve and from other runs, in one forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

import augury
from augury.errors import UsageError
from augury.forecast.curves import CurveForecast, CurvePart
from augury.forecast.prediction import Forecast
from augury.forecast.questions.run_blend import SHARED, between, blend_forecasts

PARAMS, END = 1e9, 2e10


def curve(value: float, spread: float, cuts: int = 8) -> CurveForecast:
    """A curve's forecast at twice its length."""
    return CurveForecast(
        x="tokens", y="loss", at=(2.0,), values=(value,), spreads=(spread,), level=0.9,
        parts={"power": CurvePart(1.0, spread, None, {"value": value})},
        cuts=pl.DataFrame({"cut": np.arange(float(cuts))}), end=1.0, notes=(),
    )  # fmt: skip


def ladder(value: float, spread: float) -> Forecast:
    """What other runs predict: a normal distribution of the logarithm."""
    reach = stats.norm.ppf(0.95) * spread
    interval = (value * np.exp(-reach), value * np.exp(reach))
    return Forecast({"params": 1.0}, value, interval, interval, 0.0, 0.9)


def test_two_parts_that_agree_are_averaged_by_precision() -> None:
    found = blend_forecasts(curve(3.0, 0.01), ladder(3.0, 0.02), None)
    assert found is not None
    assert found.value == pytest.approx(3.0)
    assert found.weights == pytest.approx({"own": 0.8, "ladder": 0.2})
    apart, together = 0.8**2 * 0.01**2 + 0.2**2 * 0.02**2, (0.8 * 0.01 + 0.2 * 0.02) ** 2
    assert found.spread == pytest.approx(np.sqrt((1 - SHARED) * apart + SHARED * together))
    low, high = found.interval
    assert found.probability_below(high) - found.probability_below(low) == pytest.approx(0.9)


def test_a_part_that_says_little_leaves_the_other_as_it_is() -> None:
    found = blend_forecasts(curve(3.0, 0.01), ladder(3.1, 10.0), None)
    assert found is not None
    assert (found.value, found.spread) == pytest.approx((3.0, 0.01), rel=1e-3)
    found = blend_forecasts(curve(3.0, 10.0), ladder(3.1, 0.01), None)
    assert found is not None
    assert (found.value, found.spread) == pytest.approx((3.1, 0.01), rel=1e-3)
    few = blend_forecasts(curve(3.0, 0.01, cuts=2), ladder(3.0, 0.02), None)
    assert few is not None
    assert few.weights["own"] == pytest.approx(0.2)


def test_a_part_too_sure_of_itself_does_not_get_all_the_weight() -> None:
    found = blend_forecasts(curve(3.0, 0.02), ladder(3.5, 1e-6), None)
    assert found is not None
    assert found.weights["own"] == pytest.approx(0.5, abs=0.02)
    low, high = found.interval
    assert low < 3.0
    assert high > 3.5


def test_the_variance_between_two_parts_is_that_of_the_closed_form() -> None:
    """DerSimonian & Laird of two: (difference^2 - both variances) / 2."""
    middle, variance = np.array([1.0, 1.3]), np.array([0.01, 0.02])
    assert between(middle, variance) == pytest.approx((0.09 - 0.03) / 2)
    assert between(np.array([1.0, 1.1]), variance) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
def test_without_an_interval_of_other_runs_there_is_no_blend(bad: float) -> None:
    own, good = curve(3.0, 0.01), ladder(3.0, 0.02)
    assert blend_forecasts(own, replace(good, run_interval=(bad, bad)), None) is None
    assert blend_forecasts(own, replace(good, value=bad), None) is None


def law(params: np.ndarray | float, tokens: np.ndarray) -> np.ndarray:
    return np.asarray(1.7 + 400 * params**-0.34 + 410 * tokens**-0.28)


def world(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ends of twelve runs, and the log of a larger one: each run's own offset, 1 %, and noise."""
    rng = np.random.default_rng(seed)
    sizes, amounts = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 1.6e10])
    params, tokens = sizes.ravel(), amounts.ravel()
    loss = law(params, tokens) * np.exp(0.01 * rng.standard_normal(12))
    seen = np.geomspace(END / 100, END, 60)
    own = law(PARAMS, seen) * np.exp(0.01 * rng.standard_normal() + 0.004 * rng.standard_normal(60))
    others = pl.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    return others, pl.DataFrame({"tokens": seen, "loss": own})


def outlook(seed: int, **planned: float) -> augury.forecast.questions.RunOutlook:
    others, run = world(seed)
    fitted = augury.fit("chinchilla", others, influence=False)
    log = run.filter(pl.col("tokens") <= END / 2)
    return augury.forecast_run(
        log, at=END, against=fitted, planned={"params": PARAMS, "tokens": END} | planned
    )


@pytest.mark.claims
def test_the_blend_holds_in_simulation_and_is_narrower_than_its_parts() -> None:
    rows = []
    for seed in range(40):
        found, truth = outlook(seed), float(world(seed)[1]["loss"][-1])
        assert found.blended is not None
        assert found.expected is not None
        assert set(found.blended.weights) == {"own", "ladder", "shifted"}
        low, high = found.blended.interval
        rows.append(
            (
                low <= truth <= high,
                np.log(high / low),
                np.log(found.forecast.interval[1] / found.forecast.interval[0]),
                np.log(found.expected.run_interval[1] / found.expected.run_interval[0]),
                abs(np.log(found.blended.value / truth)),
                abs(np.log(found.expected.value / truth)),
            )
        )
    held, width, own, others, error, missed = np.array(rows, float).T
    assert held.mean() > 0.85
    assert np.median(width) < min(np.median(own), np.median(others))
    assert np.median(error) < np.median(missed)


@pytest.mark.slow
def test_the_planned_end_is_where_the_run_is_forecast() -> None:
    with pytest.raises(UsageError, match=r"planned tokens=4e\+10 is not where the run is forecast"):
        outlook(0, tokens=2 * END)


@pytest.mark.slow
def test_steps_count_as_tokens_and_a_law_of_size_alone_is_not_shifted() -> None:
    others, run = world(1)
    fitted = augury.fit("chinchilla", others, influence=False)
    log = run.filter(pl.col("tokens") <= END / 2)
    planned = {"params": PARAMS, "tokens": END}
    steps = log.select("loss", step=pl.col("tokens") / 1e6)
    by_step = augury.forecast_run(steps, at=END / 1e6, against=fitted, planned=planned)
    by_tokens = augury.forecast_run(log, at=END, against=fitted, planned=planned)
    assert by_step.blended is not None
    assert by_tokens.blended is not None
    assert by_step.blended.value == pytest.approx(by_tokens.blended.value, rel=1e-3)
    of_size = augury.fit("power", others.filter(pl.col("tokens") == 4e9), influence=False)
    found = augury.forecast_run(log, at=END, against=of_size, planned={"params": PARAMS})
    assert found.blended is None or "shifted" not in found.blended.weights


@pytest.mark.slow
def test_a_fit_without_an_interval_leaves_the_run_alone_and_says_so() -> None:
    others, run = world(2)
    fitted = augury.fit("chinchilla", others, uncertainty="none")
    log = run.filter(pl.col("tokens") <= END / 2)
    planned = {"params": PARAMS, "tokens": END}
    found = augury.forecast_run(log, at=END, against=fitted, planned=planned, target=2.5)
    assert found.blended is None
    assert found.best is found.forecast
    assert "not-blended" in {note.code for note in found.notes}
    assert found.to_dict()["blended"] is None
    assert found.probability_on_target == found.forecast.probability_below(2.5)
