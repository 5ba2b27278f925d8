"""Forecast pass rates and losses, and compare them with the truth measured afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from augury.data.scores import suited_likelihood
from augury.errors import AuguryError, DataError
from augury.fitting import Likelihood
from augury.fitting.likelihoods import likelihood_for
from augury.forecast.backtesting import Fitted, fitter
from augury.forecast.combination import FINAL_DRAWS, Combination, combine
from augury.forecast.passrate import PassRateForecast, forecast_pass_rate
from augury.forecast.prediction import predict
from augury.laws import Chain, Law, parse_law
from augury.notes import Note
from augury.study.results.forecast_records import (
    BacktestRecord,
    ForecastRecord,
    GrowthRecord,
    PassRateRecord,
    PassRateScoreRecord,
    RunScoreRecord,
)
from augury.study.results.formats import save_record
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.curve import curve_grid, curve_table, places_for
from augury.study.units.rows import (
    join_rows,
    last_steps,
    pretraining_losses,
    task_scores,
)


def forecast_rates(store: Store, unit: UnitRecord, work: Path) -> None:
    """Forecast a task's pass rate, or the loss: write `forecast.json` and tables.

    Two methods: "laws", candidates weighted by their backtest, on mean scores; and "counts", trends
    of the single instances, if those were measured: then their average leads.
    """
    asked = unit.parameters
    laws = [parse_law(text) for text in asked["laws"]]
    everything = join_rows(store, unit.needs)
    question = asked["question"]
    of_loss = question == "loss"
    if of_loss:
        table = pretraining_losses(everything, last_step=asked["last_step"])
    else:
        table = task_scores(everything, asked)
    likelihood = rate_likelihood(laws[0], table)
    found: Combination | Fitted
    try:
        found = combine(
            laws, table, by=asked["by"], likelihood=likelihood,
            level=asked["level"], seed=asked["seed"],
        )  # fmt: skip
    except DataError as error:  # too few runs to test any law: the first one, and its status
        found = fitter(laws[0], likelihood, asked["level"], asked["seed"], FINAL_DRAWS)(table)
        basis = _Basis({str(laws[0]): 1.0}, notes=(Note("note", "warning", str(error)),))
    else:
        rows = found.backtest.rows.to_dicts()
        tested = tuple(BacktestRecord(**row) for row in rows)
        basis = _Basis(found.weights, found.drift.mean, tested)
    points = places_for(asked, *laws)
    forecasts = [
        ForecastRecord(method="laws", **{**f.to_dict(), "inputs": _asked_inputs(point)})
        for point, f in zip(points.to_dicts(), predict(found, points), strict=True)
    ]
    grid = curve_grid(table, points, *laws)
    counted = _Counted() if of_loss else _forecast_counts(everything, asked, grid)
    record = PassRateRecord(
        question=question,
        task=asked["task"],
        level=asked["level"],
        weights=basis.weights,
        drift=basis.drift,
        status=str(found.status),
        remedy=found.status.remedy,
        notes=(*found.notes, *basis.notes),
        backtest=basis.backtest,
        growth=counted.growth,
        counts_notes=counted.notes,
        forecasts=(*forecasts, *counted.forecasts),
    )
    save_record(work / "forecast.json", record)
    curve = counted.curve
    if curve is None or record.leading == "laws":
        curve = curve_table(predict(found, grid))
    curve.write_parquet(work / "curve.parquet")
    if of_loss:
        table = table.with_columns(value="loss")
    table.write_parquet(work / "observed.parquet")


class _Basis(NamedTuple):
    """What a forecast from laws is based on."""

    weights: Mapping[str, float]
    drift: float | None = None
    backtest: tuple[BacktestRecord, ...] = ()
    notes: tuple[Note, ...] = ()


def score_rates(
    forecast: PassRateRecord, rows: pl.DataFrame, asked: Mapping[str, Any]
) -> PassRateScoreRecord:
    """Compare each forecast with each run that was measured at its point."""
    if forecast.question == "loss":
        truth = pretraining_losses(rows, last_step=asked["last_step"]).with_columns(value="loss")
    else:
        truth = task_scores(rows, asked)
    scores = [
        _score_run(which, made, row)
        for which, made in enumerate(forecast.forecasts)
        for row in _rows_at(truth, made.inputs).to_dicts()
    ]
    return PassRateScoreRecord(
        question=forecast.question,
        task=forecast.task,
        level=forecast.level,
        scores=tuple(scores),
    )


def _score_run(which: int, made: ForecastRecord, row: Mapping[str, Any]) -> RunScoreRecord:
    """Score one forecast with one new run. A forecast without a value is not scored."""
    low, high = made.run_interval
    known = made.value is not None
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    return RunScoreRecord(
        forecast=which,
        method=made.method,
        inputs=made.inputs,
        model=row.get("model"),
        seed=row.get("seed"),
        value=made.value,
        low=low,
        high=high,
        truth=row["value"],
        held=bool(least <= row["value"] <= most) if known else None,
        error=None if made.value is None else _log_ratio(row["value"], made.value),
    )


def rate_likelihood(law: Law | Chain, table: pl.DataFrame) -> Likelihood | None:
    """Return the whole table's likelihood, so that every backtest cut uses it too."""
    if law.output != "value":
        return None
    return likelihood_for(law, None, suited=suited_likelihood(table))


def _asked_inputs(point: Mapping[str, Any]) -> dict[str, float]:
    """Return a point as requested, without FLOPs if they follow from the others."""
    known = {name: x for name, x in point.items() if x is not None}
    if {"params", "tokens"} <= known.keys():
        known.pop("flops", None)
    return known


class _Counted(NamedTuple):
    """Results from the counts of single instances."""

    growth: GrowthRecord | None = None
    notes: tuple[Note, ...] = ()
    forecasts: tuple[ForecastRecord, ...] = ()
    curve: pl.DataFrame | None = None


def _forecast_counts(table: pl.DataFrame, asked: Mapping[str, Any], grid: pl.DataFrame) -> _Counted:
    """Forecast from the counts of single instances, and along a grid; or say why not."""

    def none(why: str) -> _Counted:
        return _Counted(notes=(Note("note", "info", f"{why}: no forecast from counts"),))

    if "instance" not in table.columns:
        return none("no rows of single instances")
    rows = table.filter(pl.col("task") == asked["task"], pl.col("metric") == "pass")
    rows = last_steps(rows, only=bool(asked.get("last_step")))
    asked_at = [point for point in asked["points"] if "params" in point]
    places = [{"params": point["params"]} for point in asked_at]
    if not places:
        return none("no target gives params")
    drawn = [{"params": x} for x in grid["params"]] if "params" in grid.columns else []
    try:
        every = forecast_pass_rate(rows, [*places, *drawn], level=asked["level"],
                                   seed=asked["seed"])  # fmt: skip
    except AuguryError as error:
        return _Counted(notes=(Note("note", "info", f"no forecast from counts: {error}"),))
    found = every[: len(places)]
    made = (
        ForecastRecord(
            method=f"counts-{name}",
            inputs=point,
            value=answer.value,
            run_interval=answer.interval,
            mean_interval=one.mean_interval if answer is one.leading else (None, None),
            extrapolation=one.extrapolation,
            level=answer.level,
            run_share=one.run_share if answer is one.leading else None,
        )
        for point, one in zip(asked_at, found, strict=True)
        for name, answer in one.methods.items()
        if np.isfinite([answer.value, *answer.interval]).all()
    )
    growth = GrowthRecord.model_validate(found[0].growth.to_dict())
    curve = _counts_curve(grid, every[len(places) :]) if drawn else None
    return _Counted(growth, tuple(found[0].notes), tuple(made), curve)


def _counts_curve(grid: pl.DataFrame, along: Sequence[PassRateForecast]) -> pl.DataFrame:
    """Return the same as `curve_table`, for the leading method, with new-run intervals."""
    ends = [one.leading for one in along]
    return grid.with_columns(
        value=pl.Series([e.value for e in ends]),
        mean_low=pl.lit(None, pl.Float64),
        mean_high=pl.lit(None, pl.Float64),
        run_low=pl.Series([e.interval[0] for e in ends]),
        run_high=pl.Series([e.interval[1] for e in ends]),
        extrapolation=pl.Series([one.extrapolation for one in along]),
    )


def _rows_at(table: pl.DataFrame, inputs: Mapping[str, float]) -> pl.DataFrame:
    """Return the rows at a point."""
    for name, value in inputs.items():
        if name in table.columns:
            # Another way of counting would be another point: only rounding is tolerated.
            table = table.filter((pl.col(name) / value - 1).abs() < 1e-9)
    return table


def _log_ratio(truth: float, value: float) -> float | None:
    return math.log(truth / value) if truth > 0 and value > 0 else None
