"""From results to lines of the record: what was forecast, and how it fared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.errors import DataError
from augury.runtime.json_files import read_json
from augury.study.results.ledger import Ledger
from augury.study.results.store import Store, file_digest


def write_down(
    ledger: Ledger,
    store: Store,
    unit: Mapping[str, Any],
    study: str,
    *,
    blind: bool,
) -> None:
    """Put a unit's forecasts on record, unless they are.

    Args:
        ledger: the record.
        store: the study's results.
        unit: record of a forecast unit that is done.
        study: name of the study.
        blind: whether nothing of the truth was known yet.
    """
    if ledger.find("forecast", unit["key"]):
        return
    path = store.result(unit["key"]) / "forecast.json"
    found = read_json(path)
    ledger.append(
        [
            {
                "kind": "forecast",
                "unit": unit["key"],
                "inputs_digest": unit["key"],
                "result_sha256": file_digest(path),
                "forecast": which,
                "study": study,
                "question": found["question"],
                "task": found["task"],
                "blind": blind,
                **{name: made.get(name) for name in _FORECAST},
            }
            for which, made in enumerate(found["forecasts"])
        ]
    )


_FORECAST = ("method", "inputs", "value", "mean_interval", "run_interval", "level",
             "extrapolation")  # fmt: skip
_SCORE = ("method", "inputs", "model", "seed", "value", "low", "high", "truth", "held", "error")


def write_score(ledger: Ledger, store: Store, unit: Mapping[str, Any]) -> None:
    """Put on record how a unit's forecasts fared, unless it is."""
    if ledger.find("score", unit["key"]):
        return
    found = read_json(store.result(unit["key"]) / "score.json")
    forecast = unit["needs"][0]
    lines = {line["forecast"]: line["line"] for line in ledger.find("forecast", forecast)}
    ledger.append(
        [
            {
                "kind": "score",
                "unit": unit["key"],
                "of_line": lines[scored["forecast"]],
                "task": found["task"],
                **{name: scored.get(name) for name in _SCORE},
            }
            for scored in found["scores"]
        ]
    )


def verify(ledger: Ledger, store: Store) -> None:
    """Whether the results that forecasts were written down from are as they were.

    Raises:
        DataError: one was changed; it names the file and the line of the record.
    """
    checked: set[str] = set()
    for line in ledger.lines:
        if line["kind"] == "forecast" and line["unit"] not in checked:
            checked.add(line["unit"])
            path = store.result(line["unit"]) / "forecast.json"
            if path.exists() and file_digest(path) != line.get("result_sha256"):
                raise DataError(
                    f"was changed after it was put on record (line {line['line']})",
                    source=str(path),
                    expected=f"SHA-256 {line.get('result_sha256')}",
                )


def scoreboard(folders: list[Path]) -> list[dict[str, Any]]:
    """Every forecast on record and how it fared: a row a forecast and run it was held against.

    Args:
        folders: of studies.

    Returns:
        Rows with study, line, time, blind (written down before the truth was measured), task,
        method, inputs, value, interval, level; and model, seed, truth, held, error (log of truth
        over forecast), which are None while nothing was measured.

    Raises:
        DataError: a record was tampered with or cut; it names file and line.
    """
    rows: list[dict[str, Any]] = []
    for folder in folders:
        ledger = Ledger(folder)
        verify(ledger, Store(folder))
        scores: dict[int, list[dict[str, Any]]] = {}
        for line in ledger.lines:
            if line["kind"] == "score":
                scores.setdefault(line["of_line"], []).append(line)
        for line in ledger.lines:
            if line["kind"] != "forecast":
                continue
            about = {
                "folder": str(folder),
                "study": line["study"],
                "line": line["line"],
                "time": line["time"],
                "blind": line["blind"],
                "task": line["task"],
                "method": line["method"],
                "question": line["question"],
                "inputs": line["inputs"],
                "value": line["value"],
                "interval": line["run_interval"],
                "level": line["level"],
            }
            fared = scores.get(line["line"], [{}])
            rows += [
                about | {n: s.get(n) for n in ("model", "seed", "truth", "held", "error")}
                for s in fared
            ]
    return rows
