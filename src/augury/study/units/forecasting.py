"""Units that fit, forecast and score: tables of other units in, JSON and Parquet out."""

from __future__ import annotations

from pathlib import Path

from augury.forecast.backtesting import fitter
from augury.forecast.prediction import predict
from augury.laws import parse_law
from augury.study.results.forecast_records import (
    EmergenceRecord,
    FitRecord,
    ForecastRecord,
    read_forecast,
)
from augury.study.results.formats import Record, save_record
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.curve import curve_grid, curve_table, places_for
from augury.study.units.emergence import forecast_emergence, score_emergence
from augury.study.units.pass_rates import forecast_rates, rate_likelihood, score_rates
from augury.study.units.rows import distinct_losses, join_rows, task_scores
from augury.study.units.unit import Progress


def fit_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Fit one law to all visible data: `fit.json`, `curve.parquet`, `observed.parquet`."""
    asked = unit.parameters
    law = parse_law(asked["law"])
    rows = join_rows(store, unit.needs)
    table = distinct_losses(rows, law) if law.output == "loss" else task_scores(rows, asked)
    likelihood = rate_likelihood(law, table)
    fitted = fitter(law, likelihood, asked["level"], asked["seed"], asked["draws"])(table)
    points = places_for(asked, law)
    grid = curve_grid(table, points, law)
    made = predict(fitted, points) if points.height else ()
    record = FitRecord(
        law=str(law),
        output=law.output,
        parameters=dict(fitted.parameters),
        status=str(fitted.status),
        remedy=fitted.status.remedy,
        notes=tuple(fitted.notes),
        level=asked["level"],
        forecasts=tuple(ForecastRecord(**f.to_dict()) for f in made),
    )
    save_record(work / "fit.json", record)
    curve_table(predict(fitted, grid)).write_parquet(work / "curve.parquet")
    table.write_parquet(work / "observed.parquet")


def forecast_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Forecast a task from visible data: `forecast.json`, `observed.parquet` and a curve."""
    make = {
        "pass-rate": forecast_rates, "loss": forecast_rates, "emergence": forecast_emergence
    }  # fmt: skip
    make[unit.parameters["question"]](store, unit, work)


def score_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Compare forecasts with the truth that was measured after them: `score.json`."""
    forecast = read_forecast(store.result(unit.needs[0]))
    rows = join_rows(store, unit.needs[1:])
    score: Record
    if isinstance(forecast, EmergenceRecord):
        score = score_emergence(forecast, rows, unit.parameters)
    else:
        score = score_rates(forecast, rows, unit.parameters)
    save_record(work / "score.json", score)
