"""Killed at any moment, a study goes on where it was, and ends with the same results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from augury.study import Ledger, scoreboard
from augury.study.tiny_world import tiny_world
from tests.study.helpers import results, small_world, table_study


def _begin(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "augury", "run", str(folder), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def _finish(folder: Path) -> tuple[dict[str, object], float]:
    began = time.perf_counter()
    out, err = (run := _begin(folder)).communicate()
    assert run.returncode == 0, err
    said: dict[str, object] = json.loads(out)
    return said, time.perf_counter() - began


def _there(folder: Path) -> int:
    units = folder / "units"
    return len(list(units.iterdir())) if units.exists() else 0


def _forecasts(folder: Path) -> list[tuple[object, ...]]:
    return [
        (line["kind"], line["unit"], line["value"]) for line in Ledger(folder).lines
    ]  # fmt: skip


@pytest.mark.slow
def test_a_study_killed_at_three_random_moments_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's study, small. The whole process group by SIGKILL twice; then the run alone."""
    small_world(monkeypatch)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.toml").write_text(tiny_world(100, 0))
    _, seconds = _finish(tmp_path / "whole")
    killed = tmp_path / "killed"
    rng = np.random.default_rng()
    moments = [float(x) for x in rng.uniform(0.1, 0.5, 3) * seconds]
    kept = 0
    for i, moment in enumerate(moments):
        run = _begin(killed)
        try:
            run.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            if i < 2:
                os.killpg(run.pid, signal.SIGKILL)
            else:
                run.kill()
            run.communicate()
        before, kept = kept, _there(killed)
        assert kept >= before, moments
    said, _ = _finish(killed)
    assert said["complete"]
    # Nothing that was done is done again (an orphan may have ended a unit while we counted).
    assert int(str(said["kept"])) >= kept, moments
    assert results(killed) == results(tmp_path / "whole"), moments
    assert sorted(map(str, _forecasts(killed))) == sorted(map(str, _forecasts(tmp_path / "whole")))
    # However often it was killed: every forecast was on record before its truth was measured.
    board = scoreboard([killed])
    assert all(row.blind for row in board)
    assert {row.question for row in board} == {"pass-rate", "emergence"}


def test_workers_end_with_a_run_that_was_killed(tmp_path: Path) -> None:
    table_study(tmp_path)
    run = _begin(tmp_path)
    deadline = time.monotonic() + 60
    while not (workers := _children(run.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    run.kill()
    run.communicate()
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in workers)


def _children(pid: int) -> list[int]:
    """Processes that do units: children that run Python's spawned main."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent == pid and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
