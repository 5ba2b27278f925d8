"""Results on disk, by key: one folder each, which appears completely or not at all.

STUDY/study.toml           what the user wrote
STUDY/plan.json            the units of the last run, in order
STUDY/state.json           how far it is
STUDY/units/KEY/           a result: unit.json, and what its kind writes
STUDY/work/KEY/            a unit under way; training and sampling go on from what lies there
STUDY/logs/KEY.txt         why a unit failed
STUDY/forecasts.jsonl      the record of forecasts (see `ledger`)
STUDY/table.parquet        everything measured, as one observation table
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from augury.errors import UsageError
from augury.runtime.atomic import remove_unfinished
from augury.study.results.formats import Record, read_record, save_record
from augury.study.results.plan_records import (
    DoneUnitRecord,
    PlanRecord,
    StateRecord,
    UnitRecord,
)

RECORD, PLAN, STATE = "unit.json", "plan.json", "state.json"


class Store:
    """The results of a study.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def result(self, key: str) -> Path:
        """Return the folder of a unit's result."""
        return self.folder / "units" / key

    def log(self, key: str) -> Path:
        """Return the log of why a unit failed."""
        return self.folder / "logs" / f"{key}.txt"

    def done(self) -> set[str]:
        """Return the keys of all existing results."""
        try:
            return {entry.name for entry in os.scandir(self.folder / "units")}
        except FileNotFoundError:
            return set()

    def record(self, key: str) -> DoneUnitRecord:
        """Read `unit.json` of a result: kind, label, parameters, needs, seconds ..."""
        return read_record(self.result(key) / RECORD, DoneUnitRecord)

    def plan(self) -> PlanRecord:
        """Read `plan.json`: the units of the last run, in order."""
        return read_record(self.folder / PLAN, PlanRecord)

    def state(self) -> StateRecord:
        """Read `state.json`: the progress of a run."""
        return read_record(self.folder / STATE, StateRecord)

    @contextmanager
    def working(self, unit: UnitRecord) -> Iterator[Path]:
        """Yield the folder to work in; when the block succeeds, it becomes the result.

        One process at a time: others wait, since a killed run may leave a worker that is just
        ending. What an earlier, killed attempt finished is still there.
        """
        key = unit.key
        work = self.folder / "work" / key
        work.parent.mkdir(parents=True, exist_ok=True)
        with (work.parent / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.result(key).exists():
                yield work  # done by that other process: the block checks `result` first
                return
            work.mkdir(exist_ok=True)
            remove_unfinished(work)
            began, clock = time.time(), time.perf_counter()
            yield work
            about = DoneUnitRecord(
                **unit.model_dump(),
                augury=version("augury"),
                started=began,
                seconds=time.perf_counter() - clock,
            )
            save_record(work / RECORD, about)
            self.result(key).parent.mkdir(exist_ok=True)
            os.replace(work, self.result(key))
            Path(lock.name).unlink(missing_ok=True)

    def forget_work(self) -> None:
        """Delete what killed units left, when no process works here and nothing is left to do."""
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def write(self, name: str, record: Record) -> None:
        """Write a record of the study, completely or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_record(self.folder / name, record)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a run: two runs of one study would do everything twice.

    Raises:
        UsageError: another process runs this study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise UsageError(
                f"{folder}: another process is running this study, process {lock.read().strip()}; "
                f"`augury status {folder}` shows how far it is"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def runs_now(folder: Path) -> bool:
    """Return whether some process runs this study."""
    try:
        with (folder / "run.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
