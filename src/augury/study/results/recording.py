"""From results to lines of the record: what was forecast, and how it fared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from augury.errors import DataError
from augury.study.results.forecast_records import read_forecast, read_score
from augury.study.results.formats import Interval, Known, RecordPart
from augury.study.results.ledger import Ledger, ScoreLine
from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store, file_digest


class ScoreboardRow(RecordPart):
    """A forecast on record, and how it fared with one run that was measured after it.

    Attributes:
        line: of the record.
        time: when it was recorded, UTC.
        blind: whether that was before the truth was measured.
        interval: for one new run.
        mean_interval: for the mean of many runs.
        run_share: share of the squared width of `interval` that is spread between runs; None if it
            is unknown.
        model, seed, truth, held, error: None while nothing was measured; error is the log of truth
            over forecast, for emergence their difference.
    """

    folder: str
    study: str
    line: int
    time: str
    blind: bool
    task: str | None
    method: str
    question: str
    inputs: Mapping[str, float]
    value: Known
    interval: Interval
    mean_interval: Interval = (None, None)
    run_share: Known = None
    level: float
    extrapolation: Known
    model: str | None = None
    seed: int | None = None
    truth: Known = None
    held: bool | None = None
    error: Known = None


def write_forecast(
    ledger: Ledger, store: Store, unit: UnitRecord, study: str, *, blind: bool
) -> None:
    """Record a unit's forecasts, unless done.

    Args:
        ledger: the record.
        store: the study's results.
        unit: a finished forecast unit.
        study: name of the study.
        blind: whether no truth was known yet.
    """
    if ledger.find("forecast", unit.key):
        return
    result = store.result(unit.key)
    found = read_forecast(result)
    wanted = {"method", "inputs", "value", "mean_interval", "run_interval", "level",
              "extrapolation", "run_share"}  # fmt: skip
    ledger.append(
        [
            {
                "kind": "forecast",
                "unit": unit.key,
                "inputs_digest": unit.key,
                "result_sha256": file_digest(result / "forecast.json"),
                "forecast": which,
                "study": study,
                "question": found.question,
                "task": found.task,
                "blind": blind,
                **made.model_dump(include=wanted),
            }
            for which, made in enumerate(found.forecasts)
        ]
    )


def write_score(ledger: Ledger, store: Store, unit: UnitRecord) -> None:
    """Record how a unit's forecasts fared, unless done."""
    if ledger.find("score", unit.key):
        return
    found = read_score(store.result(unit.key))
    lines = {line["forecast"]: line["line"] for line in ledger.find("forecast", unit.needs[0])}
    ledger.append(
        [
            {
                "kind": "score",
                "unit": unit.key,
                "of_line": lines[scored.forecast],
                "task": found.task,
                **scored.model_dump(exclude={"forecast", "bracket"}),
            }
            for scored in found.scores
        ]
    )


def verify(ledger: Ledger, store: Store) -> None:
    """Check that the results behind recorded forecasts are unchanged.

    Raises:
        DataError: one was changed; it names the file and the line of the record.
    """
    checked: set[str] = set()
    for line in ledger.forecasts:
        if line.unit not in checked:
            checked.add(line.unit)
            path = store.result(line.unit) / "forecast.json"
            if path.exists() and file_digest(path) != line.result_sha256:
                raise DataError(
                    f"was changed after it was put on record (line {line.line})",
                    source=str(path),
                    expected=f"SHA-256 {line.result_sha256}",
                )


def scoreboard(folders: Sequence[str | Path]) -> list[ScoreboardRow]:
    """Return every forecast on record and how it fared: one row per forecast and run.

    Args:
        folders: of studies.

    Raises:
        DataError: a record was tampered with or cut; it names file and line.
    """
    rows: list[ScoreboardRow] = []
    for folder in folders:
        ledger = Ledger(folder)
        verify(ledger, Store(folder))
        scores: dict[int, list[ScoreLine]] = {}
        for score in ledger.scores:
            scores.setdefault(score.of_line, []).append(score)
        for line in ledger.forecasts:
            about = {
                **line.model_dump(exclude={"run_interval"}),
                "folder": str(folder),
                "interval": line.run_interval,
            }
            for fared in scores.get(line.line, [None]):
                wanted = {"model", "seed", "truth", "held", "error"}
                own = {} if fared is None else fared.model_dump(include=wanted)
                rows.append(ScoreboardRow.model_validate(about | own))
    return rows
