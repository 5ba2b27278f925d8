"""The answers of a study in words: what was asked, what is forecast, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from augury.report.page.story import distance, number, rate
from augury.study.page.words import INPUTS, ends_of, known, place_text, task_name
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


def answers_of(folder: str | Path) -> list[str]:
    """The answers of a study, as its page has them: those that are there.

    Args:
        folder: of the study.
    """
    store = Store(folder)
    plan, units = store.plan(), done_units(store)
    scores = scores_by_forecast(store, units)
    return [
        said
        for unit in units
        if unit.kind == "forecast"
        for said in task_answers(
            read_forecast(store.result(unit.key)), scores.get(unit.key), plan.target or {}
        )
    ]


def done_units(store: Store) -> list[UnitRecord]:
    """Units of the plan whose results are there, in order."""
    return [u for u in store.plan().units if (store.result(u.key) / "unit.json").exists()]


def scores_by_forecast(store: Store, units: list[UnitRecord]) -> dict[str, TaskScore]:
    """How forecasts fared, by the key of the forecast's unit."""
    return {u.needs[0]: read_score(store.result(u.key)) for u in units if u.kind == "score"}


def task_answers(
    record: TaskForecast, score: TaskScore | None, target: Mapping[str, float]
) -> list[str]:
    """Sentences on one task, the answer to what was asked first."""
    if isinstance(record, EmergenceRecord):
        assert not isinstance(score, PassRateScoreRecord)
        return _emergence_answers(record, score)
    assert not isinstance(score, EmergenceScoreRecord)
    return _rate_answers(record, score, target)


def _rate_answers(
    record: PassRateRecord, score: PassRateScoreRecord | None, target: Mapping[str, float]
) -> list[str]:
    said = []
    made = [f for f in record.forecasts if f.method == "laws"]
    # What was asked comes first; places that were held out come after it.
    for one in sorted(made, key=lambda f: not f.inputs.items() <= target.items()):
        low, high = ends_of(one.run_interval)
        held = [
            s.held
            for s in (score.scores if score else ())
            if s.method == "laws" and s.inputs == one.inputs
        ]
        said.append(
            f"At {place_text(one.inputs)}, a new model will score {rate(known(one.value))} on "
            f"{task_name(record)} ({one.level:.0%} interval: {rate(low)} to {rate(high)}), "
            f"{distance(known(one.extrapolation))}."
            + (
                f" Of {len(held)} measured there afterwards, {sum(map(bool, held))} lay inside "
                "the interval."
                if held
                else ""
            )
        )
    return said


def _emergence_answers(record: EmergenceRecord, score: EmergenceScoreRecord | None) -> list[str]:
    name, point = task_name(record), record.above.point
    if point.value is None:
        said = [f"Where {name} emerges cannot be said: {record.status}."]
        return said + [_came(s) for s in (score.scores if score else ())]
    low, high = ends_of(point.interval)
    said = [
        f"{name[:1].upper()}{name[1:]} emerges without finetuning at a pretraining loss of "
        f"{number(point.value)} ({record.level:.0%} interval: {number(low)} to "
        f"{number(high)})."
    ]
    beyond = record.forecasts[0].extrapolation
    if beyond is not None:
        said.append(
            "That is inside the range of losses measured."
            if beyond <= 0
            else f"That is {beyond:.2g} times the range of losses measured beyond it."
        )
    bend = record.elbow.point
    if bend.value is not None:
        low, high = ends_of(bend.interval)
        said.append(
            f"Emerged means {record.distance:g} above chance; the elbow, where scores begin to "
            f"rise, is at {number(bend.value)} ({number(low)} to {number(high)})."
        )
    for made in record.forecasts[1:]:
        of = made.method.removeprefix("emergence-in-")
        at = (
            f" on {place_text(made.inputs)}"
            if "tokens" in made.inputs
            else (f" with {place_text(made.inputs)}" if made.inputs else "")
        )
        said.append(f"Trained{at}, {_reached(made, INPUTS.get(of, of))}.")
    if score is not None:
        (own,) = [s for s in score.scores if s.method == "emergence"]
        said.append(_came(own))
    return said


def _reached(made: ForecastRecord, of: str) -> str:
    """What it takes; None is what no draw of the loss law reaches."""
    if made.value is None:
        return f"no number of {of} gets there (probability {known(made.never):.0%})"
    low, high = (float("inf") if x is None else x for x in made.run_interval)
    return (
        f"that takes {number(made.value)} {of} ({made.level:.0%} interval: {number(low)} "
        f"to {number(high)})"
    )


def _came(score: RunScoreRecord) -> str:
    """What the held-out models say: where the ability came, as far as they show it."""
    low, high = score.bracket or (None, None)  # None: no held-out model has it, or none lacks it
    if low is None:
        told = f"it had not come at a loss of {number(known(high))}"
    elif high is None:
        told = f"it had come by a loss of {number(low)}"
    else:
        told = f"it came between losses of {number(high)} and {number(low)}"
    inside = {True: "as forecast", False: "outside the interval", None: "nothing was forecast"}
    return f"Measured afterwards, {told}: {inside[score.held]}."
