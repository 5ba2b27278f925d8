"""Units that forecast where a task emerges: from finetuned scores to a point with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data.scores import ABOVE_CHANCE, add_value, whole_tasks
from augury.errors import AuguryError, DataError
from augury.fitting.result import Status
from augury.fitting.single import fit
from augury.fitting.space import Floats
from augury.forecast.emergence import (
    EmergenceFit,
    Reach,
    emergence_data,
    emergence_point,
    fit_emergence,
    in_flops,
    in_params,
    in_tokens,
)
from augury.laws import parse_law
from augury.notes import Note
from augury.study.results.forecast_records import (
    EmergencePointRecord,
    EmergenceRecord,
    EmergenceScoreRecord,
    ForecastRecord,
    HeldOutModelRecord,
    QuantilesRecord,
    RunScoreRecord,
)
from augury.study.results.formats import save_record
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.rows import distinct_losses, join_rows

# Quantiles of the point that are kept: enough to compute how likely any model has emerged.
QUANTILES = np.linspace(0.005, 0.995, 199)
# Number of finetuning amounts at which the curve and its elbow are drawn, besides none.
CURVE = 80
NO_LOSS_LAW = "no [forecast] loss_law: the point is a loss, not a number of parameters"


def forecast_emergence(store: Store, unit: UnitRecord, work: Path) -> None:
    """Forecast where few-shot scores leave chance: write `forecast.json` and tables."""
    asked = unit.parameters
    rows = finetuned(join_rows(store, unit.needs), asked["task"])
    found = fit_emergence(emergence_data(rows), level=asked["level"], seed=asked["seed"])
    elbow, above = emergence_point(found), emergence_point(found, "above")
    usable = bool(np.isfinite(above.value))
    quantiles = quantiles_of(found.point_draws(distance=ABOVE_CHANCE)) if usable else None
    reach, notes = _reach(found, join_rows(store, unit.needs), asked) if usable else ([], [])
    point = ForecastRecord(
        method="emergence",
        value=above.value,
        mean_interval=above.interval,
        run_interval=above.interval,
        extrapolation=_beyond(found, above.value),
        level=asked["level"],
    )
    record = EmergenceRecord(
        task=asked["task"],
        level=asked["level"],
        law=found.law,
        weights={str(f.law): w for f, w in zip(found.fits, found.weights, strict=True)},
        status=str(found.status),
        remedy=found.status.remedy,
        notes=tuple(found.notes),
        reach_notes=tuple(notes),
        elbow=EmergencePointRecord.model_validate(elbow.to_dict()),
        above=EmergencePointRecord.model_validate(above.to_dict()),
        distance=ABOVE_CHANCE,
        quantiles=quantiles or QuantilesRecord(),
        forecasts=(point, *reach),
    )
    save_record(work / "forecast.json", record)
    rows.write_parquet(work / "observed.parquet")
    _elbows(found).write_parquet(work / "elbows.parquet")


def quantiles_of(draws: Floats) -> QuantilesRecord:
    """Return quantiles of the point's draws of progress, without those at which it never comes."""
    with np.errstate(invalid="ignore"):  # between two infinite draws
        losses = -np.quantile(draws, QUANTILES)
    kept = np.isfinite(losses)
    return QuantilesRecord(at=tuple(QUANTILES[kept].tolist()), loss=tuple(losses[kept].tolist()))


def score_emergence(
    forecast: EmergenceRecord, truth: pl.DataFrame, asked: Mapping[str, Any]
) -> EmergenceScoreRecord:
    """Compare the point with the held-out models' few-shot scores.

    The truth is known as a bracket: the ability appeared between the best model that lacks it
    (score less than `distance` above chance) and the worst that has it. The forecast held if its
    interval and the bracket overlap; if no held-out model has the ability, if its interval extends
    beyond the best of them.
    """
    rows = truth
    for name in ("task", "metric"):
        if asked[name] is not None and name in rows.columns:
            rows = rows.filter(pl.col(name) == asked[name])
    rows = whole_tasks(rows)
    if "finetune_examples" in rows.columns:
        rows = rows.filter(pl.col("finetune_examples").fill_null(0) == 0)
    rows = add_value(rows)
    if rows.is_empty() or "loss" not in rows.columns:
        raise DataError("held-out models have no few-shot score and loss", column="loss")
    chance = rows["chance"].drop_nulls() if "chance" in rows.columns else pl.Series([0.0])
    level = forecast.distance + float(chance.max() or 0.0)  # type: ignore[arg-type]
    has = rows.filter(pl.col("value") >= level)["loss"]
    lacks = rows.filter(pl.col("value") < level)["loss"]
    high = float(lacks.min()) if len(lacks) else np.inf  # type: ignore[arg-type]
    low = float(has.max()) if len(has) else -np.inf  # type: ignore[arg-type]
    bracket = sorted((low, high))
    made = forecast.forecasts[0]
    least, most = made.run_interval
    least = -np.inf if least is None else least
    most = np.inf if most is None else most
    inside = [x for x in bracket if np.isfinite(x)]
    middle = float(np.mean(inside)) if len(inside) == 2 else None
    losses = [-x for x in forecast.quantiles.loss]  # quantiles of progress: their losses fall
    models = [
        HeldOutModelRecord(
            model=row["model"],
            seed=row.get("seed"),
            loss=row["loss"],
            score=row["value"],
            emerged=bool(row["value"] >= level),
            probability=float(np.interp(-row["loss"], losses, forecast.quantiles.at))
            if losses
            else None,
        )
        for row in rows.sort("loss", descending=True).to_dicts()
    ]
    known = made.value is not None
    score = RunScoreRecord(
        method="emergence",
        value=made.value,
        low=made.run_interval[0],
        high=made.run_interval[1],
        truth=middle,
        bracket=(bracket[0], bracket[1]),
        # A forecast without a value neither holds nor fails.
        held=bool(least <= bracket[1] and most >= bracket[0]) if known else None,
        error=None if middle is None or made.value is None else middle - made.value,
    )
    return EmergenceScoreRecord(
        task=forecast.task, level=forecast.level, scores=(score,), models=tuple(models)
    )


def finetuned(table: pl.DataFrame, task: str | None) -> pl.DataFrame:
    """Return rows of finetuned models and of the same models untuned, on one task.

    Raises:
        DataError: there are none.
    """
    if "finetune_examples" not in table.columns:
        raise DataError("no model was finetuned", column="finetune_examples", expected="amounts")
    rows = table.filter(pl.col("finetune_examples").is_not_null())
    if task is not None and "task" in rows.columns:
        rows = rows.filter(pl.col("task") == task)
    order = ["loss", "model", "step", "finetune_examples", "subset", "seed"]
    return rows.unique(maintain_order=True).sort(
        [name for name in order if name in rows.columns], maintain_order=True, nulls_last=False
    )


def _reach(
    found: EmergenceFit, rows: pl.DataFrame, asked: Mapping[str, Any]
) -> tuple[list[ForecastRecord], list[Note]]:
    """Return what has to be trained, by the loss law; or why that is unknown."""
    if asked["loss_law"] is None:
        return [], [_remark(NO_LOSS_LAW)]
    target = asked["target"] or {}
    try:
        law = parse_law(asked["loss_law"])
        known = distinct_losses(rows, law)
        losses = fit(law, known, level=asked["level"])
        if losses.status is Status.AT_BOUND:  # a normal approximation ignores bounds
            losses = fit(law, known, level=asked["level"], uncertainty="bootstrap")
        if set(law.inputs) == {"params"}:
            return _reach_records(
                [in_params(found, losses, _tokens(known), definition="above")]
            ), []
        made = [in_flops(found, losses, definition="above")]
        if "tokens" in target:
            made.append(in_params(found, losses, target["tokens"], definition="above"))
        if "params" in target:
            made.append(in_tokens(found, losses, target["params"], definition="above"))
    except AuguryError as error:
        return [], [_remark(f"no translation from the loss to parameters: {error}")]
    return _reach_records(made), []


def _remark(text: str) -> Note:
    return Note("note", "info", text)


def _tokens(rows: pl.DataFrame) -> float:
    """Return the number of tokens on which all of these were trained.

    Raises:
        DataError: it is unknown, or differs.
    """
    found = rows["tokens"].unique().to_list() if "tokens" in rows.columns else [None]
    if len(found) != 1 or found[0] is None:
        raise DataError(
            "a law of params alone says nothing about models trained on other numbers of tokens",
            column="tokens",
            value=found,
            expected="one number in all rows, or a loss_law in params and tokens",
        )
    return float(found[0])


def _reach_records(reaches: Sequence[Reach]) -> list[ForecastRecord]:
    return [
        ForecastRecord(
            method=f"emergence-in-{reach.of}",
            inputs=reach.given,
            value=reach.value,
            mean_interval=reach.interval,
            run_interval=reach.interval,
            level=reach.level,
            never=reach.never,
        )
        for reach in reaches
    ]


def _elbows(found: EmergenceFit) -> pl.DataFrame:
    """Return the elbow over the amount of finetuning: median and interval, as losses."""
    data = found.data
    tail = (1 - found.level) / 2
    rows = []
    for amount in np.geomspace(data.low_data, max(data.amount.max(), data.low_data + 1), CURVE):
        low, middle, high = np.quantile(-found.elbow_draws(float(amount)), [tail, 0.5, 1 - tail])
        rows.append({"finetune_examples": float(amount), "loss": float(middle),
                     "low": float(low), "high": float(high)})  # fmt: skip
    return pl.DataFrame(rows)


def _beyond(found: EmergenceFit, value: float) -> float | None:
    """Return the distance beyond the best checkpoint, in units of the range of losses."""
    losses = found.data.place
    span = float(losses.max() - losses.min())
    if not np.isfinite(value) or span <= 0:
        return None
    return max(float(losses.min()) - value, value - float(losses.max()), 0.0) / span
