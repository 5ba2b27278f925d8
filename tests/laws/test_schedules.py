"""Laws over a full run: the columns of a schedule, and the published figures."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmarks.law_data import MULTI_POWER, NAMES, curve_error, curves

import augury
from augury.errors import DataError, UsageError
from augury.laws import Momentum, MultiPower, with_schedule
from augury.laws.schedules import schedule_columns
from tests.shared import DATA

CURVES = DATA / "lr-schedules" / "curves.csv"
needs_curves = pytest.mark.skipif(not CURVES.exists(), reason="the shared data are absent")


@needs_curves
@pytest.mark.parametrize("params", list(MULTI_POWER))
def test_the_multi_power_law_has_its_published_errors(params: float) -> None:
    constants, published = MULTI_POWER[params]
    found = curve_error(MultiPower(), dict(zip(NAMES, constants, strict=True)), curves(params))
    assert found == pytest.approx(published, abs=2.5e-5)


@pytest.mark.slow
@needs_curves
@pytest.mark.parametrize(
    ("params", "published"), [(25e6, 0.0015), (100e6, 0.0016), (400e6, 0.0024)]
)
def test_the_momentum_law_of_three_curves_forecasts_six(params: float, published: float) -> None:
    table = curves(params)
    own = table.filter(pl.col("split") == "fit")
    fitted = augury.fit("momentum", own, uncertainty="none", influence=False)
    assert curve_error(fitted.law, dict(fitted.parameters), table) <= published


def test_segments_stand_for_every_step() -> None:
    """The sum over all steps, by hand, at steps before, in and after a sudden drop."""
    rate = np.where(np.arange(1, 3001) < 1500, 1.0, 0.25) * np.minimum(np.arange(1, 3001) / 100, 1)
    at = np.array([200, 1499, 1500, 1503, 3000])
    p = dict(zip(NAMES, (2.0, 5.0, 0.5, 0.3, 0.05, 0.6, 0.7), strict=True))
    columns = schedule_columns(rate, at)
    total = np.cumsum(rate)
    by_hand = []
    for step in at:
        k = np.arange(1, step)
        since = total[step - 1] - total[k - 1]
        release = 1 - (1 + 0.05 * rate[k] ** -0.7 * since) ** -0.6
        by_hand.append(
            2.0 + 5.0 * total[step - 1] ** -0.5 - 0.3 * np.sum((rate[k - 1] - rate[k]) * release)
        )
    law = MultiPower()
    assert law(p, **{n: columns[n] for n in law.inputs}) == pytest.approx(by_hand, abs=1.5e-4)
    memory = np.zeros(3000)
    for t in range(1, 3000):
        fall = rate[t - 1] - rate[t] if t > np.argmax(rate) else 0.0
        memory[t] = 0.999 * memory[t - 1] + fall
    assert columns["lr_drop"] == pytest.approx(np.cumsum(memory)[at - 1])


def test_a_log_brings_its_own_learning_rates_or_takes_a_planned_schedule() -> None:
    log = pl.DataFrame({"step": [100, 200, 400], "lr": [1e-3, 1e-3, 5e-4], "loss": [4.0, 3.5, 3.2]})
    own = with_schedule(log)
    assert own["lr_sum"][0] == pytest.approx(1e-3 * 101 / 2)  # warm-up: linear from 0
    assert own["lr_drop"][0] == 0
    assert own["lr_drop"][2] > 0
    planned = pl.DataFrame({"step": [1, 400], "lr": [1e-3, 1e-3]})
    constant = with_schedule(log.drop("lr"), planned)
    assert constant["lr_sum"].to_list() == pytest.approx([0.1, 0.2, 0.4])
    assert float(np.abs(constant["drop"].to_list()).max()) < 1e-12
    assert Momentum()({"L_0": 1, "A": 1, "alpha": 1, "C": 1}, lr_sum=2.0, lr_drop=0.1) == 1.4


def test_a_shape_of_the_release_is_the_law_with_two_constants_held() -> None:
    columns = schedule_columns(np.r_[np.ones(200), np.full(200, 0.2)], np.array([150, 260, 400]))
    inputs = {n: columns[n] for n in MultiPower().inputs}
    p = dict(zip(NAMES, (2.0, 5.0, 0.5, 0.3, 0.05, 0.6, 0.7), strict=True))
    held = MultiPower(shape=(0.6, 0.7))
    assert list(held.parameters) == ["L_0", "A", "alpha", "B", "C"]
    own = {n: p[n] for n in held.parameters}
    assert held(own, **inputs) == pytest.approx(MultiPower()(p, **inputs))
    assert str(held) == "multi-power:shape=0.6;0.7"
    for shape in ((0.5,), (0.0, 1.0)):
        with pytest.raises(UsageError, match="takes shape=beta;gamma"):
            MultiPower(shape=shape)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"step": [1, 2]}, "lr"),
        ({"step": [1, 2], "lr": [1e-3, -1e-3]}, r"row 2.*lr"),
        ({"step": [1.0, None], "lr": [1e-3, 1e-3]}, r"row 2.*step"),
    ],
)
def test_a_bad_log_is_named(columns: dict[str, list[float]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        with_schedule(pl.DataFrame(columns))
