"""Two series: the ratio of their needs, and where they cross, against closed forms."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.questions import SeriesComparison, compare_series
from augury.forecast.questions.answers import Estimate
from augury.laws import Chinchilla
from augury.notes import Outcome
from tests.forecast.test_questions_optimal import TRUTH


def power_runs(worse: float, noise: float, seed: int, n: int = 12) -> pl.DataFrame:
    """Series a: 1.5 + 300 C^-.13 ; series b: the same law at C / `worse`."""
    rng = np.random.default_rng(seed)
    flops = np.geomspace(1e18, 1e21, n)
    parts = []
    for name, factor in (("a", 1.0), ("b", worse)):
        loss = 1.5 + 300.0 * (flops / factor) ** -0.13
        parts.append(pl.DataFrame({
            "flops": flops, "loss": loss * np.exp(noise * rng.normal(size=n)),
            "series": [name] * n,
        }))  # fmt: skip
    return pl.concat(parts)


def test_an_upper_end_that_the_data_do_not_set_is_not_printed_as_a_number() -> None:
    assert str(Estimate(3.8, (1.2, 5e298))) == "3.8 [1.2, no upper limit]"
    assert str(Estimate(3.8, (1.2, 14.6))) == "3.8 [1.2, 14.6]"


def test_the_ratio_of_a_series_that_wastes_compute() -> None:
    found = compare_series(power_runs(2.5, 1e-6, 0), "series")
    assert found.ratio.value == pytest.approx(2.5, rel=1e-3)
    assert (found.of, found.first, found.better) == ("flops", "a", "a")
    assert found.crossing is None
    assert isinstance(found, Outcome)
    back = compare_series(power_runs(2.5, 1e-6, 0), "series", between=("b", "a"))
    assert back.ratio.value == pytest.approx(1 / 2.5, rel=1e-3)
    assert back.better == "a"


def test_where_two_laws_cross() -> None:
    flops = np.geomspace(1e18, 1e22, 14)
    one, other = 1.5 + 300 * flops**-0.13, 1.5 + 300 * (1e20**0.05) * flops**-0.18
    table = pl.DataFrame({
        "flops": [*flops, *flops], "loss": [*one, *other], "arm": ["x"] * 14 + ["y"] * 14
    })  # fmt: skip
    found = compare_series(table, "arm")
    assert found.crossing is not None
    assert found.crossing.value == pytest.approx(1e20, rel=0.01)
    assert found.crossing_probability > 0.95
    assert found.better == "y"


def test_params_and_tokens_have_ratios_of_their_own() -> None:
    """Series b wastes half its parameters: twice the size at equal tokens, and no more data."""
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(np.log(5e7), np.log(5e9), 60))
    tokens = params * np.exp(rng.uniform(np.log(5), np.log(100), 60))
    series = np.where(np.arange(60) % 2 == 0, "a", "b")
    own = np.where(series == "b", params / 2, params)
    loss = Chinchilla()(TRUTH, params=own, tokens=tokens)
    table = pl.DataFrame({"params": params, "tokens": tokens, "flops": 6 * params * tokens,
                          "loss": loss, "series": series})  # fmt: skip
    found = compare_series(table, "series")
    assert found.law == "chinchilla"
    assert found.ratios["params"].value == pytest.approx(2.0, rel=1e-2)
    assert found.ratios["tokens"].value > 1
    assert 1 < found.ratios["flops"].value < 4
    over = compare_series(table, "series", over="params")
    assert over.ratio == over.ratios["params"]


def test_scores_are_compared_too() -> None:
    flops = np.geomspace(1e19, 1e22, 8)
    parts = [
        pl.DataFrame({"flops": flops, "value": np.exp(-6e5 * (flops / m) ** -0.3),
                      "family": [name] * 8})
        for name, m in (("a", 1.0), ("b", 3.0))
    ]  # fmt: skip
    found = compare_series(pl.concat(parts), "family")
    assert found.ratio.value == pytest.approx(3.0, rel=1e-2)
    assert (found.output, found.law) == ("value", "pass-rate:over=flops")


def test_a_loss_that_the_other_never_reaches() -> None:
    flops = np.geomspace(1e18, 1e22, 14)
    table = pl.DataFrame({
        "flops": [*flops, *flops], "arm": ["x"] * 14 + ["y"] * 14,
        "loss": [*(1.5 + 300 * flops**-0.13), *(2.3 + 300 * flops**-0.13)],
    })  # fmt: skip
    found = compare_series(table, "arm")
    assert not found.usable
    assert [n.code for n in found.notes] == ["no-match"]
    assert found.to_dict()["ratio"]["value"] is None


def share_held(n: int, seed: int) -> float:
    """How often the 90 % interval of the ratio holds: twelve runs per series, noise .3 %."""
    held = 0
    for k in range(seed, seed + n):
        low, high = compare_series(power_runs(2.0, 0.003, k), "series").ratio.interval
        held += low <= 2.0 <= high
    return held / n


@pytest.mark.slow
def test_the_interval_holds() -> None:
    """Of ten at 90 %, six or fewer hold with probability one in 80."""
    assert share_held(10, 0) >= 0.6


@pytest.mark.claims
def test_the_interval_holds_as_often_as_it_says() -> None:
    assert 0.83 <= share_held(200, 1000) <= 0.96


def test_what_is_asked_wrongly_is_said() -> None:
    table = power_runs(2.0, 0.001, 0)
    with pytest.raises(DataError, match="column 'arm'"):
        compare_series(table, "arm")
    with pytest.raises(UsageError, match="has no 'c'"):
        compare_series(table, "series", between=("a", "c"))
    with pytest.raises(UsageError, match="compared with itself"):
        compare_series(table, "series", between=("a", "a"))
    with pytest.raises(UsageError, match="expected one of flops"):
        compare_series(table, "series", over="loss")
    with pytest.raises(UsageError, match="choose two by --between"):
        compare_series(table.with_columns(series=pl.lit("a")), "series")
    with pytest.raises(DataError, match="has 3 runs"):
        compare_series(table.group_by("series", maintain_order=True).head(3), "series")


def test_it_is_drawn() -> None:
    found = compare_series(power_runs(2.5, 1e-3, 0), "series")
    assert isinstance(found, SeriesComparison)
    assert "times the flops" in found.chart().to_dict()["title"]["text"][0]
