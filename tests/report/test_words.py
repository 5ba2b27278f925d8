"""Numbers in words: one unit per interval, the same digits, and a verdict before numbers."""

from __future__ import annotations

import math

import pytest

from augury.report.page.verdict import rate_verdict
from augury.report.page.words import (
    beyond_text,
    distance,
    interval_text,
    is_useless,
    number,
    place_text,
    rate,
    rate_interval,
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.431, 0.395, 0.491), ("43 %", "40 %", "49 %")),
        ((0.031, 0.028, 0.035), ("3.1 %", "2.8 %", "3.5 %")),
        ((0.3, 1.7e-5, 1.0), ("30 %", "0.0017 %", "100 %")),
        ((0.0031, 0.0004, 0.023), ("0.31 %", "0.04 %", "2.30 %")),
        ((3e-9, 1e-9, 2e-8), ("3.0 per billion", "1.0 per billion", "20.0 per billion")),
        ((0.0, 0.0, 0.0), ("0 %", "0 %", "0 %")),
        ((math.nan, math.nan, 0.5), ("unknown", "unknown", "50 %")),
    ],
)
def test_rates_have_one_unit_and_the_same_digits(
    given: tuple[float, float, float], said: tuple[str, str, str]
) -> None:
    assert tuple(rate_interval(*given)) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1.8726, 1.6962, 1.947), ("1.87", "1.70", "1.95")),
        ((2.4, 2.39, 2.41), ("2.40", "2.39", "2.41")),
        ((3.2e9, 1.1e9, math.inf), ("3.20 billion", "1.10 billion", "infinity")),
        ((105280.0, 60000.0, 300000.0), ("110,000", "60,000", "300,000")),
        ((1.2e22, 5e21, 3e22), ("1.2e+22", "5e+21", "3e+22")),
    ],
)
def test_quantities_have_one_unit(
    given: tuple[float, float, float], said: tuple[str, str, str]
) -> None:
    assert tuple(interval_text(*given)) == said


def test_numbers_and_places_as_people_write_them() -> None:
    assert [number(x) for x in (1e9, 105280.0, 1.024e6, 0.0305, 1e-6, 7e12)] == [
        "1 billion", "105,280", "1.02 million", "0.0305", "1e-06", "7 trillion",
    ]  # fmt: skip
    assert place_text({"params": 2.4e10, "flops": 1e22}) == "24 billion parameters and 1e+22 FLOPs"
    assert rate(1.2e-7) == "120 per billion"
    assert beyond_text(1e4, 1.6e4) == "1.6x larger than the largest model measured"
    assert beyond_text(1e4, 1e4) == "inside the range of the models measured"
    assert distance(0.0) == "inside the range of the data"


def test_what_is_useless() -> None:
    assert is_useless(0.1, 0.75, is_rate=True)  # 65 points
    assert is_useless(1e-5, 2e-3, is_rate=True)  # two decades
    assert not is_useless(0.14, 0.53, is_rate=True)
    assert not is_useless(1e-4, 9e-3, is_rate=True)
    assert is_useless(1e9, math.inf, is_rate=False)


def test_a_useless_forecast_says_so_before_any_number() -> None:
    place, measured = {"params": 105280.0}, {"params": 30000.0}
    said = rate_verdict("sums", place, 0.3, (1.7e-5, 1.0), 0.9, measured=measured, held=[True])
    assert not said.useful
    assert said.lead == (
        "No useful forecast of sums at 105,280 parameters: the 90% interval is 0.0017 % to 100 %, "
        "five orders of magnitude. Train a model of about 60,000 parameters to narrow it."
    )
    assert said.details == (
        "That is 3.5x larger than the largest model measured.",
        "Measured afterwards: 1 of 1 runs inside the interval.",
    )


def test_a_fit_that_failed_forecasts_nothing() -> None:
    said = rate_verdict(
        "sums", {"params": 1e9}, 0.3, (0.2, 0.4), 0.9, failure=("no start converged", "Check.")
    )
    assert said.lead == "No forecast of sums at 1 billion parameters: no start converged."
    assert said.details == ("Check.",)
