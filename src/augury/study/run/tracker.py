"""The progress of a run: for the terminal, for `augury status`, and for later readers."""

from __future__ import annotations

import os
import time

from augury.study.results.plan_records import BlockedUnit, FailedUnit, RunningUnit, StateRecord
from augury.study.results.store import STATE, Store
from augury.study.run.schedule import Schedule
from augury.study.units.unit import StudyUnit

# Minimum seconds between writes: a person reads it, and disks are slow.
WRITE_SECONDS = 0.5


class Tracker:
    """Follows a run, and estimates when it ends.

    Args:
        store: of the study.
        schedule: what is done, failed, blocked.
        workers: units at once.
        study, engine: their names, for `state.json`.
    """

    def __init__(
        self, store: Store, schedule: Schedule, workers: int, *, study: str, engine: str
    ) -> None:
        self._store, self._schedule, self._workers = store, schedule, max(workers, 1)
        self._study, self._engine = study, engine
        self._began = time.time()
        self._found = len(schedule.done)
        self.running: dict[str, RunningUnit] = {}
        # Seconds that units took, and were estimated to take, by kind.
        self._took: dict[str, tuple[float, float]] = {}
        self._written = 0.0

    def begin(self, unit: StudyUnit) -> None:
        """Record that a unit was started."""
        self.running[unit.key] = RunningUnit(key=unit.key, label=unit.label, since=time.time())

    def step(self, key: str, done: int, of: int) -> None:
        """Record a unit's progress."""
        if key in self.running:
            share = done / max(of, 1)
            self.running[key] = self.running[key].model_copy(update={"share": share})

    def end(self, unit: StudyUnit, ok: bool) -> None:
        """Record that a unit is done, or failed."""
        about = self.running.pop(unit.key, None)
        if about is not None and ok:
            took, guessed = self._took.get(unit.kind, (0.0, 0.0))
            spent = time.time() - about.since
            self._took[unit.kind] = took + spent, guessed + unit.cost.seconds

    def left(self) -> float:
        """Estimate the seconds to the end: the remaining work over all workers, by units so far."""
        seconds = 0.0
        over = self._schedule.done | self._schedule.failed.keys() | self._schedule.blocked
        for key, unit in self._schedule.units.items():
            if key not in over:
                took, guessed = self._took.get(unit.kind, (1.0, 1.0))
                own = unit.cost.seconds * took / max(guessed, 1e-9)
                share = self.running[key].share if key in self.running else 0.0
                seconds += own * (1.0 - share)
        return seconds / self._workers

    def state(self, finished: bool = False) -> StateRecord:
        """Return the complete state."""
        now, schedule = time.time(), self._schedule
        new = len(schedule.done) - self._found
        return StateRecord(
            study=self._study,
            engine=self._engine,
            pid=os.getpid(),
            started=self._began,
            now=now,
            finished=finished,
            units=len(schedule.units),
            done=len(schedule.done),
            found=self._found,
            per_minute=60.0 * new / max(now - self._began, 1e-9),
            left_seconds=0.0 if finished else self.left(),
            running=tuple(self.running.values()),
            failed=tuple(
                FailedUnit(
                    key=key,
                    label=schedule.units[key].label,
                    why=why.strip().splitlines()[-1],
                    log=str(self._store.log(key)),
                )
                for key, why in schedule.failed.items()
            ),
            blocked=tuple(
                BlockedUnit(key=key, label=schedule.units[key].label)
                for key in sorted(schedule.blocked)
            ),
        )

    def write(self, finished: bool = False) -> None:
        """Write `state.json`, if the last write was long ago or this is the end."""
        if finished or time.monotonic() - self._written >= WRITE_SECONDS:
            self._store.write(STATE, self.state(finished))
            self._written = time.monotonic()
