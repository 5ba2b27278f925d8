"""The record of forecasts: written before the truth is known, and never edited afterwards.

`forecasts.jsonl` is append-only. Each line is JSON with the SHA-256 of the line before it, so that
a changed, removed or inserted line breaks the chain at a known line; `forecasts.head` has the
number of lines and the last one's hash, so that lines cut off the end are noticed. Whoever can
write both files can forge both: the head's hash, printed at the end of a run, is what to keep
elsewhere (in a commit, an e-mail, a preregistration).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from augury.errors import DataError
from augury.runtime.atomic import atomic_file
from augury.runtime.json_files import read_json
from augury.study.results.formats import FORMAT, Interval, Known, RecordPart, parse_record

RECORD, HEAD = "forecasts.jsonl", "forecasts.head"
# The first line's value for the hash of the line before it.
START = "0" * 64


class ForecastLine(RecordPart):
    """A line with a forecast.

    Attributes:
        line, time: of the record, in UTC.
        unit: key of the unit that made it.
        result_sha256: of the `forecast.json` it comes from.
        blind: whether no truth was known when it was recorded.
        run_share: as in `ForecastRecord`; lines of older versions have none.
    """

    line: int
    time: str
    unit: str
    result_sha256: str | None = None
    forecast: int
    study: str
    question: str
    task: str | None
    blind: bool
    method: str
    inputs: Mapping[str, float]
    value: Known
    mean_interval: Interval
    run_interval: Interval
    level: float
    extrapolation: Known = None
    run_share: Known = None


class ScoreLine(RecordPart):
    """A line that tells how the forecast of line `of_line` fared with one run."""

    line: int
    time: str
    unit: str
    of_line: int
    task: str | None
    method: str
    model: str | None = None
    seed: int | None = None
    value: Known = None
    truth: Known = None
    held: bool | None = None
    error: Known = None


L = TypeVar("L", bound=RecordPart)


class Ledger:
    """The record of a study.

    Args:
        folder: of the study.

    Attributes:
        lines: what was recorded, in order, as on disk.
        forecasts, scores: the same lines, typed.
        head: SHA-256 of the last line.

    Raises:
        DataError: the record was tampered with or cut; it names the line.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder) / RECORD
        self._end = Path(folder) / HEAD
        self.lines: list[dict[str, Any]] = []
        self.head = START
        # Bytes of complete lines; a line torn by a kill is overwritten.
        self._size = 0
        self._read()

    @property
    def forecasts(self) -> list[ForecastLine]:
        """Return the lines with a forecast, in order."""
        return self._typed("forecast", ForecastLine)

    @property
    def scores(self) -> list[ScoreLine]:
        """Return the lines with the result of a forecast, in order."""
        return self._typed("score", ScoreLine)

    def _typed(self, kind: str, of: type[L]) -> list[L]:
        return [
            parse_record(self._path, line, of, at=f"line {line['line']}: ")
            for line in self.lines
            if line["kind"] == kind
        ]

    def find(self, kind: str, unit: str) -> list[dict[str, Any]]:
        """Return the lines of a kind, "forecast" or "score", from a unit."""
        return [line for line in self.lines if line["kind"] == kind and line["unit"] == unit]

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append lines; they are on disk on return.

        All lines of a call are written at once: after a kill, all of a unit's lines are there or
        none.
        """
        text = b""
        for record in records:
            line = {
                "line": len(self.lines) + 1,
                "previous": self.head,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "augury": version("augury"),
                "format": FORMAT,
                **record,
            }
            raw = json.dumps(line, sort_keys=True, allow_nan=False).encode()
            self.head = hashlib.sha256(raw).hexdigest()
            self.lines.append(line)
            text += raw + b"\n"
        if not self._end.exists():
            self._write_head(0, START)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(text)
        self._write_head(len(self.lines), self.head)

    def _write_head(self, lines: int, sha256: str) -> None:
        with atomic_file(self._end) as fresh:
            fresh.write_text(json.dumps({"lines": lines, "sha256": sha256}) + "\n")

    def _read(self) -> None:
        # The head before the record: what a run appends in between is more than the head promises.
        known = read_json(self._end) if self._end.exists() else None
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            raw = b""
        if raw and not self._end.exists():
            raise self._broken(f"{HEAD}, which gives the number of lines, is missing", HEAD)
        known = known or {"lines": 0, "sha256": START}
        whole = raw.splitlines(keepends=True)
        if whole and not whole[-1].endswith(b"\n") and len(whole) > known["lines"]:
            whole.pop()  # torn by a kill, never promised
        for number, text in enumerate(whole, 1):
            self._line(number, text.rstrip(b"\n"))
            if number == known["lines"] and self.head != known["sha256"]:
                raise self._broken(f"line {number} was changed", f"SHA-256 {known['sha256']}")
        if len(whole) < known["lines"]:
            raise self._broken(
                f"was cut: it ends after line {len(whole)}", f"{known['lines']} lines"
            )
        self._size = sum(map(len, whole))

    def _line(self, number: int, raw: bytes) -> None:
        try:
            line = json.loads(raw)
            there, previous = line["line"], line["previous"]
        except (ValueError, TypeError, KeyError) as error:
            raise self._broken(f"line {number} was changed: it is not a record", "JSON") from error
        if there != number:
            raise self._broken(
                f"line {number} is missing, or lines were inserted: this line is numbered {there}",
                f"line {number}",
            )
        if previous != self.head:
            raise self._broken(
                f"line {max(number - 1, 1)} was changed: line {number} holds another hash",
                f"SHA-256 {previous}",
            )
        self.lines.append(line)
        self.head = hashlib.sha256(raw).hexdigest()

    def _broken(self, problem: str, expected: str) -> DataError:
        return DataError(
            problem,
            source=str(self._path),
            expected=f"{expected}. The record is append-only: it can no longer be trusted",
        )
