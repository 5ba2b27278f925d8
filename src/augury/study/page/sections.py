"""The sections of a study's page: how a task grows or emerges, and the law of the loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from augury.notes import Note
from augury.report.page.backtest import backtest_section
from augury.report.page.curves import curve_section
from augury.report.page.emergence import emergence_section
from augury.report.page.runs import name_runs
from augury.report.page.story import Section, Table
from augury.report.page.words import number
from augury.study.page.words import METHODS, known, run_name, task_name, weights_text
from augury.study.results.forecast_records import (
    EmergenceRecord,
    EmergenceScoreRecord,
    PassRateRecord,
    PassRateScoreRecord,
    TaskForecast,
    TaskScore,
    read_fit,
)


def task_sections(
    result: Path,
    record: TaskForecast,
    score: TaskScore | None,
    notes: tuple[Note, ...],
    index: int,
) -> list[Section]:
    """Build the sections that support the answer on one task.

    Args:
        result: folder of the forecast's result.
        record: the forecast.
        score: how it fared, if known.
        notes: on the forecast.
        index: of the forecast on the page, to distinguish figures.
    """
    if isinstance(record, EmergenceRecord):
        assert not isinstance(score, PassRateScoreRecord)
        return [_emergence_section(result, record, score, notes, index)]
    assert not isinstance(score, EmergenceScoreRecord)
    return _pass_rate_sections(result, record, score, notes, index)


def _pass_rate_sections(
    result: Path,
    record: PassRateRecord,
    score: PassRateScoreRecord | None,
    notes: tuple[Note, ...],
    index: int,
) -> list[Section]:
    task = task_name(record)
    curve = pl.read_parquet(result / "curve.parquet")
    observed = pl.read_parquet(result / "observed.parquet")
    x = "params" if "params" in curve.columns else curve.columns[0]
    of_loss = record.question == "loss"
    inside = bool((observed["value"] > 0).all() and (observed["value"] <= 1).all())
    is_rate = inside and not of_loss
    later = [
        s for s in (score.scores if score else ()) if s.method == record.leading and x in s.inputs
    ]
    truth = pl.DataFrame(
        {
            "run": [run_name(s.model, s.seed) for s in later],
            x: [s.inputs[x] for s in later],
            "value": [s.truth for s in later],
        }
    )
    text = [f"Laws, weighted by their backtest: {weights_text(record.weights)}."]
    if record.leading != "laws":
        text.insert(0, f"Line and band: {METHODS[record.leading]}.")
    growth = record.growth
    if growth is not None:
        low, high = map(known, growth.interval)
        text.append(
            f"Growth class: {growth.kind} (curvature in log(-log) "
            f"{number(known(growth.curvature))}, "
            f"{growth.level:.0%} interval {number(low)} to {number(high)})."
        )
    sections = [
        curve_section(
            f"How {task} grows" + ("" if growth is None else f": {growth.kind} growth"),
            x,
            name_runs(observed).select("run", x, "value"),
            curve.select(x, "value", low="run_low", high="run_high"),
            level=record.level,
            what="pretraining loss"
            if of_loss
            else f"pass rate of {task}"
            if is_rate
            else f"score on {task}",
            truth=truth if truth.height else None,
            text=text,
            notes=notes,
            is_rate=is_rate,
            name=f"forecast-{index}",
        )
    ]
    if record.backtest:
        sections.append(
            backtest_section(
                record.backtest_rows,
                level=record.level,
                what="loss" if of_loss else "pass rate" if is_rate else "score",
                name=f"backtest-{index}",
            )
        )
    return sections


def _emergence_section(
    result: Path,
    record: EmergenceRecord,
    score: EmergenceScoreRecord | None,
    notes: tuple[Note, ...],
    index: int,
) -> Section:
    point = record.above.point
    ends = [point.value, *point.interval]
    whole = [float(v) for v in ends if v is not None]
    elbows = pl.read_parquet(result / "elbows.parquet")
    finite = pl.all_horizontal(pl.col("loss", "low", "high").is_finite())
    truth = None
    if score is not None:
        truth = pl.DataFrame(
            [{"run": m.model or "model", "loss": m.loss, "value": m.score} for m in score.models],
            schema={"run": pl.String, "loss": pl.Float64, "value": pl.Float64},
        )
    return emergence_section(
        record.task or "the task",
        pl.read_parquet(result / "observed.parquet"),
        elbows=elbows.filter(finite),
        point=(whole[0], whole[1], whole[2]) if len(whole) == 3 else None,
        truth=truth,
        level=record.level,
        text=[
            "Laws, weighted by how they predict held-out checkpoints: "
            f"{weights_text(record.weights)}."
        ],
        notes=[*notes, *record.reach_notes],
        name=f"emergence-{index}",
    )


def loss_sections(results: list[Path]) -> list[Section]:
    """Build the sections of the laws of the loss among these results of fits."""
    sections = []
    for i, result in enumerate(results):
        record = read_fit(result)
        if record.output != "loss":
            continue
        curve = pl.read_parquet(result / "curve.parquet")
        x = "params" if "params" in curve.columns else curve.columns[0]
        observed = name_runs(pl.read_parquet(result / "observed.parquet"))
        parameters = pl.DataFrame(
            {"parameter": list(record.parameters), "value": list(record.parameters.values())}
        )
        own = record.notes
        if record.remedy:
            own = (Note("status", "serious", f"{record.status}. {record.remedy}"), *own)
        sections.append(
            curve_section(
                f"The law of the loss: {record.law}",
                x,
                observed.select("run", x, value="loss"),
                curve.select(x, "value", low="run_low", high="run_high"),
                level=record.level,
                what="pretraining loss",
                text=(f"{record.law} on {observed.height} points: {record.status}.",),
                tables=(Table(f"Parameters of {record.law}", parameters),),
                notes=own,
                name=f"loss-law-{i}",
            )
        )
    return sections
