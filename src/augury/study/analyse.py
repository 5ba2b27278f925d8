"""Units that fit, forecast and score pass rates: tables of other units in, JSON and Parquet out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.data.scores import suited_likelihood, whole_tasks
from augury.errors import AuguryError, DataError
from augury.fitting import Gaussian, Likelihood
from augury.forecast.backtest import fitter
from augury.forecast.chain import Chain, parse_chain
from augury.forecast.combine import combine
from augury.forecast.passrate import forecast_pass_rate
from augury.forecast.predict import predict
from augury.laws import Law
from augury.runtime.atomic import atomic_file
from augury.study.store import Store, read_json

Unit = Mapping[str, Any]
Progress = Callable[[int, int], None]
# Points of a drawn curve: smooth on paper, and few to embed.
CURVE = 60
# How far beyond the farthest point of interest a curve is drawn, as a factor.
BEYOND = 1.15


def fit_unit(store: Store, unit: Unit, work: Path, progress: Progress) -> None:
    """One law on everything that may be seen: `fit.json`, `curve.parquet`, `observed.parquet`."""
    asked = unit["parameters"]
    law = parse_chain(asked["law"])
    table = _series(store, unit, law.output == "loss")
    likelihood = _likelihood(law, table)
    fitted = fitter(law, likelihood, asked["level"], asked["seed"], asked["draws"])(table)
    points = _points(asked, law)
    grid = _grid(table, points, law)
    record = {
        "law": str(law),
        "output": law.output,
        "parameters": dict(fitted.parameters),
        "status": str(fitted.status),
        "remedy": fitted.status.remedy,
        "notes": [vars(note) for note in fitted.notes],
        "level": asked["level"],
        "forecasts": [f.to_dict() for f in predict(fitted, points)] if points.height else [],
    }
    write(work / "fit.json", record)
    _curve(predict(fitted, grid)).write_parquet(work / "curve.parquet")
    table.write_parquet(work / "observed.parquet")


def forecast_unit(store: Store, unit: Unit, work: Path, progress: Progress) -> None:
    """A task forecast from what may be seen: `forecast.json`, `curve.parquet`, `observed.parquet`.

    Two methods: "laws", candidates weighed by their backtest, on mean scores; and "counts", trends
    of the single instances, where those were measured.
    """
    if unit["parameters"]["question"] == "emergence":
        from augury.study.emerge import forecast_emergence

        forecast_emergence(store, unit, work)
        return
    asked = unit["parameters"]
    laws = [parse_chain(text) for text in asked["laws"]]
    everything = concat(store, unit["needs"])
    table = _scores(everything, asked)
    found = combine(
        laws,
        table,
        by=asked["by"],
        likelihood=_likelihood(laws[0], table),
        level=asked["level"],
        seed=asked["seed"],
    )
    points = _points(asked, *laws)
    forecasts = [
        {"method": "laws", **f.to_dict(), "inputs": _named(point)}
        for point, f in zip(points.to_dicts(), predict(found, points), strict=True)
    ]
    counted = _counted(everything, asked)
    forecasts += counted.get("forecasts", [])
    record = {
        "question": "pass-rate",
        "task": asked["task"],
        "level": asked["level"],
        "weights": found.weights,
        "widening": found.widening,
        "status": str(found.status),
        "remedy": found.status.remedy,
        "notes": [vars(note) for note in found.notes],
        "backtest": found.backtest.rows.to_dicts(),
        "growth": counted.get("growth"),
        "counts_notes": counted["notes"],
        "forecasts": forecasts,
    }
    write(work / "forecast.json", record)
    _curve(predict(found, _grid(table, points, *laws))).write_parquet(work / "curve.parquet")
    table.write_parquet(work / "observed.parquet")


def score_unit(store: Store, unit: Unit, work: Path, progress: Progress) -> None:
    """Forecasts beside the truth that was measured after them: `score.json`."""
    forecast = read_json(store.result(unit["needs"][0]) / "forecast.json")
    rows = concat(store, unit["needs"][1:])
    if forecast["question"] == "emergence":
        from augury.study.emerge import score_emergence

        write(work / "score.json", score_emergence(forecast, rows, unit["parameters"]))
        return
    truth = _scores(rows, unit["parameters"])
    scored = [
        _scored(which, made, row)
        for which, made in enumerate(forecast["forecasts"])
        for row in _at(truth, made["inputs"]).to_dicts()
    ]
    about = {"question": "pass-rate", "task": forecast["task"], "level": forecast["level"]}
    write(work / "score.json", about | {"scores": scored})


def _scored(which: int, made: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """How one forecast fared with one new run."""
    low, high = made["run_interval"]
    return {
        "forecast": which,
        "method": made["method"],
        "inputs": made["inputs"],
        "model": row.get("model"),
        "seed": row.get("seed"),
        "value": made["value"],
        "low": low,
        "high": high,
        "truth": row["value"],
        "held": bool(low <= row["value"] <= high),
        "error": _log_ratio(row["value"], made["value"]),
    }


def write(path: Path, record: Any) -> None:
    """JSON, without infinities and NaN, whole."""
    with atomic_file(path) as fresh:
        fresh.write_text(json.dumps(plain(record), indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """As JSON has it: numbers that are none become null."""
    if isinstance(value, Mapping):
        return {str(k): plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def concat(store: Store, keys: Sequence[str]) -> pl.DataFrame:
    """The observation tables of these units as one."""
    parts = [pl.read_parquet(store.result(key) / "rows.parquet") for key in keys]
    return pl.concat(parts, how="diagonal_relaxed")


def _series(store: Store, unit: Unit, loss: bool) -> pl.DataFrame:
    """Scores of the task; for a law of the loss, every run's loss once."""
    table = concat(store, unit["needs"])
    if loss:
        return distinct_losses(table, parse_chain(unit["parameters"]["law"]))
    return _scores(table, unit["parameters"])


def distinct_losses(table: pl.DataFrame, law: Law | Chain) -> pl.DataFrame:
    """Every checkpoint's pretraining loss once, its scores left out.

    A law of size alone gets models at their end: it knows no way there.

    Raises:
        DataError: there is none.
    """
    rows = _last_steps(whole_tasks(table), {"last_step": not {"tokens", "flops"} & set(law.inputs)})
    if "finetune_examples" in rows.columns:
        rows = rows.filter(pl.col("finetune_examples").fill_null(0) == 0)
    if "loss" not in rows.columns or rows["loss"].is_null().all():
        raise DataError("no loss was measured", column="loss", expected="it, for a law of the loss")
    known = ("model", "family", "step", "params", "params_kind", "tokens", "flops", "loss")
    pretrained = [name for name in (*known, "loss_set") if name in rows.columns]
    own = [*pretrained, *(["seed"] if "seed" in rows.columns else [])]
    rows = rows.filter(pl.col("loss").is_not_null()).select(own)
    # A sweep's rows know no seed of the pretraining: a model that was measured as well is one.
    rows = rows.sort(own, maintain_order=True, nulls_last=True)
    return rows.unique(subset=pretrained, keep="first", maintain_order=True)


def _scores(table: pl.DataFrame, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Mean scores of the task and metric asked for, in an order that is always the same."""
    rows = whole_tasks(table)
    for name in ("task", "metric"):
        if asked[name] is not None and name in rows.columns:
            rows = rows.filter(pl.col(name) == asked[name])
    rows = _last_steps(rows, asked)
    if "value" in rows.columns:
        rows = rows.filter(pl.col("value").is_not_null())
    if rows.is_empty():
        raise DataError(
            "there is no score to learn from",
            column="task",
            value=asked["task"],
            expected=f"rows of metric {asked['metric']}",
        )
    order = [n for n in ("params", "tokens", "seed", "step", "model") if n in rows.columns]
    return rows.sort(order, maintain_order=True)


def _last_steps(rows: pl.DataFrame, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Models at their end alone, where that is asked for: laws of size know no way there."""
    if not asked.get("last_step") or "step" not in rows.columns:
        return rows
    own = [n for n in ("model", "family", "seed") if n in rows.columns]
    return rows.filter(pl.col("step") == pl.col("step").max().over(own))


def _likelihood(law: Law, table: pl.DataFrame) -> Likelihood | None:
    """Exact pass rates stray by factors, not by amounts; elsewhere the law's own choice."""
    if law.output != "value" or "metric" not in table.columns:
        return None
    return Gaussian("log") if suited_likelihood(table) == "log-gaussian" else None


def _inputs(*laws: Law) -> list[str]:
    """What a forecast has to be told, those with a default left out."""
    names: dict[str, None] = {}
    for law in laws:
        first = law.loss if isinstance(law, Chain) else law
        names |= {n: None for n in first.inputs if n not in law.defaults}
    return list(names)


def _points(asked: Mapping[str, Any], *laws: Law) -> pl.DataFrame:
    """The places to forecast at that say what the laws take; the rest of them rides along."""
    table = observations(asked["points"]) if asked["points"] else pl.DataFrame()
    wanted = [name for name in _inputs(*laws) if name in table.columns]
    if len(wanted) < len(_inputs(*laws)):
        return table.clear()
    return table.drop_nulls(wanted)


def _named(point: Mapping[str, Any]) -> dict[str, float]:
    """A place as it was asked for, FLOPs left out where they follow from the others."""
    known = {name: x for name, x in point.items() if x is not None}
    if {"params", "tokens"} <= known.keys():
        known.pop("flops", None)
    return known


def _grid(table: pl.DataFrame, points: pl.DataFrame, *laws: Law) -> pl.DataFrame:
    """Places of a curve: along parameters (or what the laws take) as the points of interest go."""
    names = _inputs(*laws)
    along = "params" if "params" in names else names[0]
    ends = [*table[along].drop_nulls(), *(points[along] if points.height else ())]
    grid = {along: np.geomspace(min(ends) / BEYOND, max(ends) * BEYOND, CURVE)}
    for name in names:
        if name != along:
            last = points[name][-1] if points.height else table[name][-1]
            grid[name] = np.full(CURVE, float(last))
    return observations(grid)


def _curve(forecasts: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                **f.inputs,
                "value": f.value,
                "mean_low": f.mean_interval[0],
                "mean_high": f.mean_interval[1],
                "run_low": f.run_interval[0],
                "run_high": f.run_interval[1],
                "extrapolation": f.extrapolation,
            }
            for f in forecasts
        ]
    )


def _counted(table: pl.DataFrame, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Forecasts from the counts of single instances, or why there are none."""
    if "instance" not in table.columns:
        return {"notes": ["no rows of single instances: no forecast from counts"]}
    rows = table.filter(pl.col("task") == asked["task"], pl.col("metric") == "pass")
    rows = _last_steps(rows, asked)
    asked_at = [point for point in asked["points"] if "params" in point]
    places = [{"params": point["params"]} for point in asked_at]
    if not places:
        return {"notes": ["no place names its params: no forecast from counts"]}
    try:
        found = forecast_pass_rate(rows, places, level=asked["level"], seed=asked["seed"])
    except AuguryError as error:
        return {"notes": [f"no forecast from counts: {error}"]}
    return {
        "growth": found[0].growth.to_dict(),
        "notes": [vars(note) for note in found[0].notes],
        "forecasts": [
            {
                "method": f"counts-{name}",
                "inputs": point,
                "value": answer.value,
                "mean_interval": [None, None],
                "run_interval": list(answer.interval),
                "extrapolation": one.extrapolation,
                "level": answer.level,
            }
            for point, one in zip(asked_at, found, strict=True)
            for name, answer in one.methods.items()
            if np.isfinite([answer.value, *answer.interval]).all()
        ],
    }


def _at(table: pl.DataFrame, inputs: Mapping[str, float]) -> pl.DataFrame:
    """Rows at a place."""
    for name, value in inputs.items():
        if name in table.columns:
            # Another way of counting would be another place: rounding alone is forgiven.
            table = table.filter((pl.col(name) / value - 1).abs() < 1e-9)
    return table


def _log_ratio(truth: float, value: float) -> float | None:
    return math.log(truth / value) if truth > 0 and value > 0 else None
