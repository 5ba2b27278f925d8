"""The answers of a study in words: the question, the forecast, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from augury.fitting.result import Status
from augury.report.page.story import StoryVerdict
from augury.report.page.verdict import rate_verdict, spread_details
from augury.report.page.words import (
    INPUT_NAMES,
    beyond_text,
    interval_text,
    number,
    place_text,
    rate_interval,
)
from augury.study.page.words import ends_of, known, task_name
from augury.study.results.forecast_records import (
    EmergenceRecord,
    EmergenceScoreRecord,
    ForecastRecord,
    PassRateRecord,
    PassRateScoreRecord,
    RunScoreRecord,
    TaskForecast,
    TaskScore,
    read_forecast,
    read_score,
)
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store

USABLE = frozenset(status for status in Status if status.usable)


def answers_of(folder: str | Path) -> list[str]:
    """Return the answers of a study, as on its page, as far as available.

    Args:
        folder: of the study.
    """
    store = Store(folder)
    plan, units = store.plan(), done_units(store)
    scores = scores_by_forecast(store, units)
    return [
        text
        for unit in units
        if unit.kind == "forecast"
        for verdict in task_verdicts(
            store.result(unit.key),
            read_forecast(store.result(unit.key)),
            scores.get(unit.key),
            plan.target or {},
        )
        for text in (verdict.lead, *verdict.details)
    ]


def done_units(store: Store) -> list[UnitRecord]:
    """Return the units of the plan whose results exist, in order."""
    return [u for u in store.plan().units if (store.result(u.key) / "unit.json").exists()]


def scores_by_forecast(store: Store, units: list[UnitRecord]) -> dict[str, TaskScore]:
    """Return how forecasts fared, by the key of the forecast's unit."""
    return {u.needs[0]: read_score(store.result(u.key)) for u in units if u.kind == "score"}


def task_verdicts(
    result: Path, record: TaskForecast, score: TaskScore | None, target: Mapping[str, float]
) -> list[StoryVerdict]:
    """Return the answers on one task, starting with the study's question.

    Args:
        result: folder of the forecast's result.
        record: the forecast.
        score: how it fared, if known.
        target: of the study.
    """
    if isinstance(record, EmergenceRecord):
        assert not isinstance(score, PassRateScoreRecord)
        return [_emergence_verdict(record, score)]
    assert not isinstance(score, EmergenceScoreRecord)
    return _rate_verdicts(result, record, score, target)


def _rate_verdicts(
    result: Path,
    record: PassRateRecord,
    score: PassRateScoreRecord | None,
    target: Mapping[str, float],
) -> list[StoryVerdict]:
    observed = pl.read_parquet(result / "observed.parquet")
    measured = {
        name: float(observed[name].max())  # type: ignore[arg-type]
        for name in observed.columns
        if name in ("params", "tokens", "flops") and observed[name].is_not_null().any()
    }
    failed = record.status not in USABLE
    made = [f for f in record.forecasts if f.method == record.leading]
    # The question's forecast is the answer; held-out points support it, one line each.
    ordered = sorted(made, key=lambda f: not f.inputs.items() <= target.items())
    if not ordered:
        return []
    first, *rest = ordered
    if record.question == "loss":
        return [_loss_verdict(record, score, first, rest, measured)]
    verdict = rate_verdict(
        task_name(record),
        first.inputs,
        known(first.value),
        ends_of(first.run_interval),
        first.level,
        measured=measured,
        held=_held(score, first),
        failure=(record.status, record.remedy) if failed else ("", ""),
        verb="pass" if record.task else "score",
    )
    if failed:
        return [verdict]
    spread = _spread(first, is_rate=True)
    others = [_other_place(one, _held(score, one)) for one in rest]
    return [replace(verdict, details=(*spread, *verdict.details, *others))]


def _loss_verdict(
    record: PassRateRecord,
    score: PassRateScoreRecord | None,
    first: ForecastRecord,
    rest: list[ForecastRecord],
    measured: Mapping[str, float],
) -> StoryVerdict:
    where = place_text(first.inputs)
    if record.status not in USABLE:
        return StoryVerdict(
            f"No forecast of the loss at {where}: {record.status}.", (record.remedy,), False
        )
    said = interval_text(known(first.value), *ends_of(first.run_interval))
    details = [*_spread(first)]
    if {"params"} <= measured.keys() & first.inputs.keys():
        details.append(f"That is {beyond_text(measured['params'], first.inputs['params'])}.")
    held = _held(score, first)
    if held:
        details.append(f"Measured afterwards: {sum(held)} of {len(held)} runs inside the interval.")
    for one in rest:
        came = _held(score, one)
        text = interval_text(known(one.value), *ends_of(one.run_interval))
        inside = f"; {sum(came)} of {len(came)} runs measured afterwards inside" if came else ""
        details.append(
            f"At {place_text(one.inputs)}: {text.value} ({text.interval}{_share(one)}){inside}."
        )
    return StoryVerdict(
        f"At {where}, the pretraining loss of a new model will be {said.value} nats per token "
        f"({first.level:.0%} interval: {said.interval}).",
        tuple(details),
        about="the loss",
    )


def _held(score: PassRateScoreRecord | None, made: ForecastRecord) -> list[bool]:
    """Return for each run measured at the forecast's point whether its interval held it."""
    return [
        bool(s.held)
        for s in (score.scores if score else ())
        if s.method == made.method and s.inputs == made.inputs
    ]


def _other_place(made: ForecastRecord, held: list[bool]) -> str:
    said = rate_interval(known(made.value), *ends_of(made.run_interval))
    came = f"; {sum(held)} of {len(held)} runs measured afterwards inside" if held else ""
    return f"At {place_text(made.inputs)}: {said.value} ({said.interval}{_share(made)}){came}."


def _spread(made: ForecastRecord, *, is_rate: bool = False) -> tuple[str, ...]:
    return spread_details(
        known(made.value), ends_of(made.mean_interval), made.run_share, is_rate=is_rate
    )


def _share(made: ForecastRecord) -> str:
    from augury.forecast.prediction import run_share_text

    return "" if made.run_share is None else f"; {run_share_text(made.run_share)}"


def _emergence_verdict(record: EmergenceRecord, score: EmergenceScoreRecord | None) -> StoryVerdict:
    name, point = task_name(record), record.above.point
    came = [_result_text(s) for s in (score.scores if score else ()) if s.method == "emergence"]
    if point.value is None:
        return StoryVerdict(
            f"No forecast of where {name} emerges: {record.status}.", tuple(came), False, name
        )
    said = interval_text(point.value, *ends_of(point.interval))
    lead = (
        f"{name[:1].upper()}{name[1:]} emerges without finetuning at a pretraining loss of "
        f"{said.value} ({record.level:.0%} interval: {said.interval})."
    )
    details = []
    beyond = record.forecasts[0].extrapolation
    if beyond is not None:
        details.append(
            "That is inside the range of losses measured."
            if beyond <= 0
            else "That is better than the best loss measured, by "
            f"{beyond:.2g} of the range of losses."
        )
    bend = record.elbow.point
    if bend.value is not None:
        elbow = interval_text(bend.value, *ends_of(bend.interval))
        details.append(
            f"Emerged means {record.distance:g} above chance; the elbow, where scores begin to "
            f"rise, is at {elbow.value} ({elbow.interval})."
        )
    for made in record.forecasts[1:]:
        of = made.method.removeprefix("emergence-in-")
        at = (
            f" on {place_text(made.inputs)}"
            if "tokens" in made.inputs
            else (f" with {place_text(made.inputs)}" if made.inputs else "")
        )
        details.append(f"Trained{at}, {_reached(made, INPUT_NAMES.get(of, of))}.")
    return StoryVerdict(lead, (*details, *came), about=name)


def _reached(made: ForecastRecord, of: str) -> str:
    """Describe what to train; None if no draw of the loss law reaches it."""
    if made.value is None:
        return f"no number of {of} gets there (probability {known(made.never):.0%})"
    low, high = made.run_interval
    said = interval_text(made.value, known(low), known(high))
    interval = f"{said.low} or more" if high is None else said.interval
    return f"that takes {said.value} {of} ({made.level:.0%} interval: {interval})"


def _result_text(score: RunScoreRecord) -> str:
    """Describe the held-out models' result: where the ability appeared, as far as they show it."""
    low, high = score.bracket or (None, None)  # None: no held-out model has it, or none lacks it
    if low is None:
        told = f"it had not appeared at a loss of {number(known(high))}"
    elif high is None:
        told = f"it had appeared by a loss of {number(low)}"
    else:
        told = f"it appeared between losses of {number(high)} and {number(low)}"
    inside = {True: "as forecast", False: "outside the interval", None: "nothing was forecast"}
    return f"Measured afterwards, {told}: {inside[score.held]}."
