"""Scores of one task by two metrics are refused wherever they would count as more scores of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.errors import UsageError
from augury.forecast.ahead import forecast_ahead
from augury.forecast.emergence import emergence_data, moved_study
from augury.forecast.ladder import forecast_ladder
from augury.forecast.questions import ladder_outlook
from tests.emergence_studies import study

TARGET = {"params": 3e10, "tokens": 6e11}


def ladder() -> pl.DataFrame:
    params = np.geomspace(1e8, 1e10, 9)
    scores = np.linspace(0.3, 0.5, 9)
    return pl.DataFrame({
        "model": [f"m{i}" for i in range(9)], "run": [f"m{i}" for i in range(9)],
        "params": params, "tokens": 20 * params, "bpb": np.linspace(1.2, 0.7, 9),
        "task": ["arc"] * 9, "value": scores,
    })  # fmt: skip


def sweep() -> pl.DataFrame:
    return study().with_columns(task=pl.lit("arc"))


@pytest.mark.parametrize(
    ("ask", "table"),
    [
        (lambda t: forecast_ahead(t, TARGET, output="value"), ladder),
        (lambda t: ladder_outlook(t, TARGET), ladder),
        (lambda t: forecast_ladder(t, t, TARGET), ladder),
        (emergence_data, sweep),
        (moved_study, sweep),
    ],
    ids=["forecast", "ladder", "recipes", "emergence", "moved"],
)
def test_two_metrics_of_a_task_are_refused(
    ask: Callable[[pl.DataFrame], Any], table: Callable[[], pl.DataFrame]
) -> None:
    rows = table()
    other = pl.lit("acc_norm")
    both = pl.concat([rows.with_columns(metric=pl.lit("acc")), rows.with_columns(metric=other)])
    with pytest.raises(UsageError, match=r"scores of arc by 2 metrics \(acc, acc_norm\); keep one"):
        ask(both)
    assert ask(both.filter(metric="acc"))
