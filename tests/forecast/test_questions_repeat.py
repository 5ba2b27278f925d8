"""The worth of repeats: Muennighoff's formula, and four epochs almost as good as fresh data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.data import read_table
from augury.errors import UsageError
from augury.fitting import Fit, fit
from augury.forecast.questions import RepeatAnswer, value_repeats
from augury.laws import DataConstrained
from augury.notes import Outcome
from tests.shared import DATA

RUNS = DATA / "datablations" / "runs_outliers_removed_182.csv"
needs_datablations = pytest.mark.skipif(not RUNS.exists(), reason="the shared data are absent")


def repeated_runs(
    n: int, noise: float, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Runs of the published law that repeat their data up to sixty times."""
    law = DataConstrained()
    example = law.example(n, seed)
    rng = np.random.default_rng(seed + 1)
    loss = law(example.parameters, **example.inputs) * np.exp(noise * rng.normal(size=n))
    return {**example.inputs, "loss": loss}, example.parameters


@pytest.fixture(scope="module")
def fitted() -> Fit:
    data, _ = repeated_runs(120, 0.002, 0)
    return fit("data-constrained", data, resamples=200, influence=False)


@pytest.mark.slow
def test_worth_is_muennighoffs(fitted: Fit) -> None:
    """A model small for its tokens: only data's worth matters, R_D (1 - e^(-R / R_D)) + 1."""
    found = value_repeats(fitted, unique_tokens=1e10, params=5e7)
    half_life = fitted.parameters["R_D"]
    for row in found.table.iter_rows(named=True):
        repeats = row["epochs"] - 1
        worth = 1 + half_life * (1 - np.exp(-repeats / half_life))
        assert row["worth"] == pytest.approx(worth, rel=2e-3)
        assert row["low"] <= row["loss"] <= row["high"]
        assert row["fresh"] <= row["loss"] + 1e-9
    # One more token is worth e^(-R / R_D) of a fresh one.
    assert found.epochs.value == pytest.approx(1 + half_life * np.log(2), rel=0.02)
    assert isinstance(found, Outcome)
    assert found.epochs.interval[0] < found.epochs.value < found.epochs.interval[1]
    less = value_repeats(fitted, unique_tokens=1e10, params=5e7, least_worth=0.8)
    assert less.epochs.value < found.epochs.value
    assert "worth repeating" in " ".join(found.chart().to_dict()["title"]["text"])


@pytest.mark.slow
@needs_datablations
def test_four_epochs_are_nearly_as_good_as_new() -> None:
    """By the published constants, four epochs are worth 3.73 times the tokens, 93 %."""
    table = read_table(RUNS, columns={"loss": "val_loss"})
    fitted = fit("data-constrained", table, resamples=300, influence=False)
    found = value_repeats(fitted, unique_tokens=4e9, params=2.8e9)
    four = found.table.row(by_predicate=pl.col("epochs") == 4, named=True)
    assert four["share"] > 0.9
    assert four["worth_low"] < 3.73 < four["worth_high"]
    assert four["loss"] - four["fresh"] < 0.03


def test_what_is_asked_wrongly_is_said(fitted: Fit) -> None:
    with pytest.raises(UsageError, match="least_worth must lie"):
        value_repeats(fitted, unique_tokens=1e10, params=1e9, least_worth=1.0)
    with pytest.raises(UsageError, match="positive number"):
        value_repeats(fitted, unique_tokens=-1.0, params=1e9)
    size = np.geomspace(1e8, 1e10, 12)
    power = fit("power", {"params": size, "loss": 1.5 + 300 * size**-0.3})
    with pytest.raises(UsageError, match="needs a law of params and tokens and unique_tokens"):
        value_repeats(power, unique_tokens=1e10, params=1e9)


def share_held(n: int, seed: int) -> float:
    """How often the 90 % interval of the useful epochs holds: 80 runs with noise of .5 %."""
    held = 0
    for k in range(seed, seed + n):
        data, truth = repeated_runs(80, 0.005, k)
        fitted = fit("data-constrained", data, resamples=300, influence=False)
        answer = value_repeats(fitted, unique_tokens=1e10, params=5e7)
        assert isinstance(answer, RepeatAnswer)
        low, high = answer.epochs.interval
        held += bool(low <= 1 + truth["R_D"] * np.log(2) <= high)
    return held / n


@pytest.mark.claims
def test_the_interval_holds_as_often_as_it_says() -> None:
    assert 0.8 <= share_held(100, 1000) <= 0.98
