"""A killed run takes its workers with it (tests/cli/test_demo.py covers resuming)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.study.helpers import begin, table_study


@pytest.mark.slow
def test_workers_end_with_a_run_that_was_killed(tmp_path: Path) -> None:
    table_study(tmp_path)
    run = begin(tmp_path)
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
    """Worker processes: children that run Python's spawned main."""
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
