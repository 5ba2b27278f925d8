"""A run's plan and progress: `plan.json`, `unit.json`, `state.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augury.study.results.formats import Record, RecordPart


class UnitRecord(Record):
    """A unit of work, as sent to a worker and listed in the plan.

    Attributes:
        key: names the result; a hash of everything that determines it.
        kind: "train", "table", "measure", "finetune", "fit", "forecast" or "score".
        label: for people.
        parameters: plain JSON that determines the result.
        needs: keys of the units whose results it reads.
        after: keys of units that have to be done before.
        places: paths that are read, by name.
        program: units with the same value share compiled programs.
        gpus: what it asks for; not part of the key.
    """

    key: str
    kind: str
    label: str = ""
    parameters: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    places: Mapping[str, str] = {}
    program: str = ""
    gpus: float = 0.0


class DoneUnitRecord(UnitRecord):
    """`unit.json`: a finished unit.

    Attributes:
        augury: version that ran it.
        started: seconds since 1970.
        seconds: how long it took.
    """

    augury: str = ""
    started: float = 0.0
    seconds: float = 0.0


class PlanRecord(Record):
    """`plan.json`: the units of the last run, in order.

    Attributes:
        target: the point of the forecast.
        truth: keys of the units that measure what is held out.
    """

    name: str
    question: str
    digest: str
    target: Mapping[str, float] | None = None
    truth: tuple[str, ...] = ()
    units: tuple[UnitRecord, ...]

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions asked, each once; the study's own if no forecast is planned."""
        asked = [u.parameters["question"] for u in self.units if u.kind == "forecast"]
        return tuple(dict.fromkeys(asked or [self.question]))


class RunningUnit(RecordPart):
    """A running unit: its start (seconds since 1970), and the finished share."""

    key: str
    label: str
    since: float
    share: float = 0.0


class FailedUnit(RecordPart):
    """A unit that failed for good: the last line of the reason, and the path of its log."""

    key: str
    label: str
    why: str
    log: str


class BlockedUnit(RecordPart):
    """A unit that waits for a failed one."""

    key: str
    label: str


class StateRecord(Record):
    """`state.json`: the progress of a run.

    Attributes:
        started, now: seconds since 1970.
        units, done, found: planned, done, and already done at the start.
        per_minute: units done per minute.
        left_seconds: estimated.
    """

    study: str = ""
    engine: str = ""
    pid: int
    started: float
    now: float
    finished: bool
    units: int
    done: int
    found: int
    per_minute: float
    left_seconds: float
    running: tuple[RunningUnit, ...] = ()
    failed: tuple[FailedUnit, ...] = ()
    blocked: tuple[BlockedUnit, ...] = ()
