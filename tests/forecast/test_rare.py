"""The worst of many queries: coverage in simulation and on the lab's held-out instances."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

from augury.errors import AuguryError, DataError, FitError, UsageError
from augury.evaluate import exact_scores
from augury.forecast import rare
from augury.forecast.rare import elicitation_logprobs, forecast_rare
from augury.lab import LabBackend, ModelConfig, RunConfig, lab_instances, train
from tests.sequential import coverage

Rng = np.random.Generator


def exponential(rng: Rng, n: int) -> Any:
    """The law itself."""
    return -np.exp(2.5 - 0.25 * rng.exponential(size=n))


def normal(rng: Rng, n: int) -> Any:
    return np.minimum(-15 + 2 * rng.standard_normal(n), -1e-9)


def beta(rng: Rng, n: int) -> Any:
    return np.log(np.maximum(rng.beta(0.3, 300, n), 1e-300))


def gumbel(rng: Rng, n: int) -> Any:
    return -np.exp(-stats.gumbel_r.rvs(-2.7, 0.2, size=n, random_state=rng))


def actual(logs: Any) -> tuple[float, float]:
    """The largest rate, and the chance that any answer shows it, by a product over all queries."""
    logs = np.minimum(logs, -1e-12)
    return float(np.exp(logs.max())), float(-np.expm1(np.log1p(-np.exp(logs)).sum()))


def draws(sample: Callable[[Rng], tuple[Any, Any]], times: int) -> Iterator[tuple[bool, bool]]:
    """Which intervals of both forecasts held."""
    rng = np.random.default_rng(4)
    for _ in range(times):
        known, to_come = sample(rng)
        found = forecast_rare(known, len(to_come))
        top, at_all = actual(to_come)
        largest = found.largest.interval[0] <= top <= found.largest.interval[1]
        any_ = found.any.interval[0] - 1e-9 <= at_all <= found.any.interval[1] + 1e-9
        yield largest, any_


@pytest.mark.slow
@pytest.mark.parametrize("draw", [exponential, normal, beta, gumbel])
@pytest.mark.parametrize(("m", "n"), [(100, 10_000), (500, 20_000), (100, 5)])
def test_intervals_cover_from_few_queries_to_many(
    draw: Any, m: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred times as many queries, and a handful; also distributions that violate the law.

    With 100 queries the tail has ten, and intervals are too wide rather than too narrow.
    """
    monkeypatch.setattr(rare, "DRAWS", 500)
    held = coverage(draws(lambda rng: (draw(rng, m), draw(rng, n)), 80), of=80, least=0.85)
    assert held.passed, held


@pytest.mark.slow
def test_instances_kept_back_of_lab_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 200 instances to 6,000 others, whose exact rates are known.

    The largest of the others is mostly the same, so splits of one task hold or miss
    together: count over both tasks.
    """
    monkeypatch.setattr(rare, "DRAWS", 500)
    lab = LabBackend(train(RunConfig(ModelConfig(8), steps=200), tmp_path / "run")[-1])
    tasks = ("rule", "sort-digits")
    logs = [exact_scores(lab, lab_instances(task, 6_200)).logprob for task in tasks]

    def split(rng: Rng) -> tuple[Any, Any]:
        own = logs[rng.integers(2)]
        order = rng.permutation(len(own))
        return own[order[:200]], own[order[200:]]

    held = coverage(draws(split, 120), of=120, least=0.85)
    assert held.passed, held


def test_the_slope_and_the_median_are_those_of_the_law() -> None:
    """Log-survival falls by 4 per unit of psi; the median of the largest follows from it."""
    found = forecast_rare(exponential(np.random.default_rng(2), 20_000), 1e6)
    assert found.slope == pytest.approx(-4, rel=0.1)
    psi = -2.5 + 0.25 * (np.log(1e6) - np.log(np.log(2)))
    low, high = found.largest.interval
    assert low < np.exp(-np.exp(-psi)) < high
    assert -np.log(-np.log(high)) + np.log(-np.log(low)) < 2.5
    assert found.any.value == pytest.approx(1.0)
    assert found.notes == ()


def test_silent_queries_take_part_and_are_told() -> None:
    logs = exponential(np.random.default_rng(3), 400)
    hidden = np.where(logs < np.quantile(logs, 0.85), -np.inf, logs)
    found, whole = forecast_rare(hidden, 1e4), forecast_rare(logs, 1e4)
    assert found.never == 340
    assert "340 of 400 queries never passed" in found.notes[0]
    assert found.largest.value == pytest.approx(whole.largest.value, rel=0.05)
    assert "as many" in forecast_rare(logs, 1e6).notes[0]
    assert str(found).startswith("Of 10,000 queries")


@pytest.mark.parametrize(
    ("logs", "queries", "error", "message"),
    [
        ([-1.0] * 5, 100, DataError, "5 of 5 queries"),
        ([-1.0] * 50 + [0.5], 100, DataError, "not a log-probability"),
        ([-1.0] * 50, 0, UsageError, "at least 1 and at most 1e18, not 0"),
        ([-1.0] * 50, 1e300, UsageError, "at most 1e18, not 1e\\+300"),
        (
            [-9.0] * 5 + [-3.0] * 50,
            100,
            FitError,
            "11 likeliest queries all .* 0.0498.*; draw more",
        ),
    ],
)
def test_what_is_refused(logs: list[float], queries: float, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        forecast_rare(logs, queries)


def test_a_table_gives_its_queries(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "model": ["m"] * 61,
            "task": ["t"] * 61,
            "metric": ["pass"] * 61,
            "instance": [*(f"q{i}" for i in range(60)), None],
            "value": [0.02] * 61,
            "logprob": [*(-8 + rng.standard_normal(60)).tolist(), None],
        }
    )
    assert elicitation_logprobs(rows).tolist() == rows["logprob"][:60].to_list()
    counted = pl.DataFrame({"instance": ["a", "b"], "passes": [2.0, 0.0], "samples": [100.0, 50.0]})
    assert np.exp(elicitation_logprobs(counted)).tolist() == pytest.approx([0.02, 0.0])
    assert len(elicitation_logprobs(counted.drop("instance"))) == 2, "a row is a query"
    with pytest.raises(DataError, match="rows of single queries"):
        elicitation_logprobs(rows.tail(1))
    both = pl.concat([rows, rows.with_columns(model=pl.lit("other"))])
    with pytest.raises(DataError, match="several values of 'model'"):
        elicitation_logprobs(both)
    from augury.cli import app

    rows.write_parquet(tmp_path / "rows.parquet")
    said = CliRunner().invoke(app, ["rare", str(tmp_path / "rows.parquet"), "--queries", "1e5",
                                    "--json"])  # fmt: skip
    assert said.exit_code == 0, said.output
    answer = json.loads(said.output)
    assert answer["queries"] == 1e5
    for name in ("largest", "any"):
        low, high = answer[name]["interval"]
        assert low <= answer[name]["value"] <= high


def test_answers_that_are_all_but_certain_leave_finite_ends() -> None:
    """Easy questions among the measured ones: many of a hundred thousand are certain to show it."""
    rates = [0.003, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0, 1.0]
    found = forecast_rare(np.log(rates), 1e5)
    assert found.any.interval == (1.0, 1.0)
    assert found.any.value == found.largest.value == 1.0


def test_queries_that_are_all_certain_are_certain_among_many_and_few() -> None:
    """If the likeliest queries tie at 1 there is no tail, but the worst case is known anyway."""
    found = forecast_rare([0.0] * 12 + [-2.0] * 88, 1e5)
    assert found.largest.interval == found.any.interval == (1.0, 1.0)
    assert "12 of 100 queries are certain" in found.notes[0]
    assert found.to_dict()["slope"] != found.slope, "NaN"
    few = forecast_rare([0.0] * 12 + [-2.0] * 88, 3)
    assert few.largest.interval == pytest.approx((np.exp(-2.0), 1.0))
    # At least one of three answers shows it: with three likely ones, none, or a certain one.
    assert few.any.interval == pytest.approx((1 - (1 - np.exp(-2.0)) ** 3, 1.0))


def test_any_table_of_probabilities_gives_an_interval_or_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Zeros, ones, ties, few rows, and probabilities near the ends of floating point."""
    monkeypatch.setattr(rare, "DRAWS", 40)
    rng, told = np.random.default_rng(5), []
    kinds: list[Callable[[int], Any]] = [
        rng.random,
        lambda n: rng.choice([0.0, 1.0], n),
        lambda n: rng.choice([0.0, 0.05, 0.1, 1.0], n),
        np.ones,
        lambda n: 10 ** rng.uniform(-320, 0, n),
        lambda n: np.round(20 * rng.beta(0.3, 3, n)) / 20,
        lambda n: 1 - 10 ** rng.uniform(-17, 0, n),
        lambda n: np.full(n, rng.random()),
    ]
    for trial in range(160):
        with np.errstate(divide="ignore"):
            logs = np.log(kinds[trial % len(kinds)](int(rng.integers(60))))
        try:
            found = forecast_rare(logs, 10 ** rng.uniform(0, 18), seed=trial)
        except AuguryError as error:
            told.append(str(error))
            continue
        for estimate in (found.largest, found.any):
            low, high = estimate.interval
            assert 0 <= low <= estimate.value <= high <= 1
    assert 20 < len(told) < 80
    assert all("draw more samples" in message for message in told)
