"""What a run leaves of its plan and its course: `plan.json`, `unit.json`, `state.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augury.study.results.formats import Record, RecordPart


class UnitRecord(Record):
    """A unit of work, as a worker is sent it and as the plan lists it.

    Attributes:
        key: names the result; a hash of all that decides it.
        kind: "train", "table", "measure", "finetune", "fit", "forecast" or "score".
        label: for people.
        parameters: plain JSON that decides the result.
        needs: keys of the units whose results it reads.
        after: keys of units that have to be done before.
        places: paths that are read, by name.
        program: units that agree in this share compiled programs.
    """

    key: str
    kind: str
    label: str = ""
    parameters: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    places: Mapping[str, str] = {}
    program: str = ""


class DoneUnitRecord(UnitRecord):
    """`unit.json`: a unit that is done.

    Attributes:
        augury: version that did it.
        started: seconds since 1970.
        seconds: how long it took.
    """

    augury: str = ""
    started: float = 0.0
    seconds: float = 0.0


class PlanRecord(Record):
    """`plan.json`: the units of the last run, in order.

    Attributes:
        target: what the forecast is for.
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
        """What is asked, each question once; the study's own where no forecast is planned."""
        asked = [u.parameters["question"] for u in self.units if u.kind == "forecast"]
        return tuple(dict.fromkeys(asked or [self.question]))


class RunningUnit(RecordPart):
    """A unit under way: since when (seconds since 1970), and which share is done."""

    key: str
    label: str
    since: float
    share: float = 0.0


class FailedUnit(RecordPart):
    """A unit that failed for good: the last line of why, and the path of its log."""

    key: str
    label: str
    why: str
    log: str


class BlockedUnit(RecordPart):
    """A unit that waits for one that failed."""

    key: str
    label: str


class StateRecord(Record):
    """`state.json`: how far a run is.

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
