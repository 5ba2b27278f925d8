"""Small studies for tests, and an engine that does everything in this process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.study import tiny_world
from augury.study.results.plan_records import UnitRecord
from augury.study.run import runner
from augury.study.run.local_pool import Event
from augury.study.units.work import perform

SIZES = (1e6, 2e6, 4e6, 8e6, 1.6e7)
TABLES = """
name = "tables"
{more}
[forecast]
laws = {laws}
[held_out]
where = "params > 1e7"
"""


def write_tables(folder: Path, sizes: Sequence[float] = SIZES, seeds: int = 2) -> None:
    """One table per size, with pass rates that grow as in Hu et al. 2023, plus noise."""
    rng = np.random.default_rng(0)
    for i, params in enumerate(sizes):
        rate = np.exp(-np.exp(2.2 - 0.35 * np.log(params / 1e6)) * rng.lognormal(0, 0.02, seeds))
        rows = {
            "model": [f"m{i}"] * seeds,
            "seed": list(range(seeds)),
            "params": [params] * seeds,
            "tokens": [20 * params] * seeds,
            "task": ["sums"] * seeds,
            "metric": ["pass"] * seeds,
            "value": rate,
        }
        pl.DataFrame(rows).write_csv(folder / f"size-{i}.csv")


def table_study(
    folder: Path, laws: Sequence[str] = ("pass-rate",), count: int = len(SIZES)
) -> Path:
    """A study of tables only, with the largest size held out."""
    write_tables(folder)
    tables = "\n".join(f'[[tables]]\npath = "size-{i}.csv"' for i in range(count))
    path = folder / "study.toml"
    path.write_text(TABLES.format(more=tables, laws=list(laws)))
    return path


class Inside:
    """An engine without processes: one unit at a time, failing when told to.

    Args:
        folder: folder of the study.
        fail: number of failures of a unit before it succeeds, by its label.
    """

    def __init__(self, folder: Path, fail: Mapping[str, int] | None = None) -> None:
        self.slots = 1
        self.begun: list[str] = []
        self._folder, self._fail = folder, dict(fail or {})
        self._events: list[Event] = []

    def start(self, unit: UnitRecord, cpus: float, gpus: float) -> None:
        self.begun.append(unit.label)
        if self._fail.get(unit.label, 0) > 0:
            self._fail[unit.label] -= 1
            self._events.append(Event(unit.key, "failed", "Boom: told to fail"))
            return
        try:
            perform(self._folder, unit)
        except Exception as error:
            self._events.append(Event(unit.key, "failed", repr(error)))
        else:
            self._events.append(Event(unit.key, "done"))

    def warm(self) -> tuple[set[str], set[str]]:
        return set(), set()

    def wait(self, seconds: float) -> list[Event]:
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self._events = []


def inside(
    monkeypatch: pytest.MonkeyPatch, folder: Path, fail: Mapping[str, int] | None = None
) -> Inside:
    """Make the next runs use that engine."""
    engine = Inside(folder, fail)
    monkeypatch.setattr(runner, "_engine", lambda name, where, workers: engine)
    return engine


def small_world(monkeypatch: pytest.MonkeyPatch, seeds: int = 1) -> None:
    """Shrink the demo's study: both questions and all sections, seconds of training."""
    monkeypatch.setattr(tiny_world, "FITTED", (4, 6, 8))
    monkeypatch.setattr(tiny_world, "HELD_OUT", (10,))
    monkeypatch.setattr(tiny_world, "SEEDS", seeds)
    text = tiny_world.TEXT
    for long, short in (
        ("instances = 1024", "instances = 32"),
        ("instances = 512", "instances = 32"),
        ("amounts = [30, 60, 120, 240]", "amounts = [8, 16]"),
        ("steps = 250", "steps = 25"),
        (', "curved-pass-rate:x0=8000", "power+pass-rate:over=loss"]', "]"),
    ):
        assert long in text
        text = text.replace(long, short)
    monkeypatch.setattr(tiny_world, "TEXT", text)


def results(folder: Path) -> dict[str, str]:
    """Hash of every file of every result, without creation times and durations.

    These are in `unit.json`, and "seconds" (with its checksum) in the record of a finetuning.
    """
    units = folder / "units"
    found = {}
    for path in sorted(units.rglob("*")):
        if not path.is_file() or path.name == "unit.json":
            continue
        content = path.read_bytes()
        if path.name == "record.json":
            record = json.loads(content)
            content = json.dumps({**record, "seconds": None, "check": None}).encode()
        found[str(path.relative_to(units))] = hashlib.sha256(content).hexdigest()
    return found


def begin(folder: Path) -> subprocess.Popen[str]:
    """`augury run` in its own process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "augury", "run", str(folder), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
