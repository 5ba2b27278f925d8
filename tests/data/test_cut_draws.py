"""Rows from a server that truncated its distribution enter a fit only with a note."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import augury
from augury.data.cut_draws import cut_draws_notes


def rates(distribution: list[str | None] | None) -> pl.DataFrame:
    params = np.array([1e6, 1e7, 1e8, 1e9])
    table = pl.DataFrame({
        "model": [f"m{i}" for i in range(4)], "params": params, "task": "t", "metric": "pass",
        "instance": "a", "passes": [2.0, 8.0, 30.0, 110.0], "samples": 1000.0,
        "value": [0.002, 0.008, 0.03, 0.11],
    })  # fmt: skip
    if distribution is None:
        return table
    return table.with_columns(distribution=pl.Series(distribution, dtype=pl.String))


def test_cut_rows_are_counted_and_said() -> None:
    (note,) = cut_draws_notes(rates([None, "cut", "cut", None]))
    assert (note.code, note.severity) == ("cut-distribution", "warning")
    assert note.details == {"rows": 2, "models": 2}
    assert note.message.startswith("2 rows were sampled")
    assert "docs/backends.md" in note.remedy
    assert cut_draws_notes(rates(None)) == []
    assert cut_draws_notes(rates([None] * 4)) == []


@pytest.mark.slow
def test_a_fit_and_a_forecast_of_such_rows_say_so() -> None:
    for cut in (False, True):
        table = rates([None, None, None, "cut" if cut else None])
        fitted = augury.fit("pass-rate", table, uncertainty="none")
        assert ("cut-distribution" in [n.code for n in fitted.notes]) is cut
        (forecast,) = augury.forecast_pass_rate(table, [{"params": 1e10}])
        assert ("cut-distribution" in [n.code for n in forecast.notes]) is cut
