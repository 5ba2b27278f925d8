"""Engines: a process that dies fails only its unit, and Ray is used only on request."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from augury.errors import UsageError
from augury.study import make_plan, read_study, run_study
from augury.study.run.local_pool import Event, LocalPool
from augury.study.run.runner import EngineName
from augury.study.run.slurm_engine import SlurmEngine
from augury.study.units.work import perform
from tests.shared import HEED_CTRL_C
from tests.study.helpers import results, table_study

SLURM = ("slurmctld", "slurmd", "munged", "sbatch")
NO_RAY = importlib.util.find_spec("ray") is None


def _ended(pool: LocalPool | SlurmEngine) -> Event:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for event in pool.wait(1.0):
            if event.kind != "step":
                return event
    raise TimeoutError


def test_a_worker_that_is_killed_fails_its_unit_and_the_next_one_does_it(tmp_path: Path) -> None:
    table_study(tmp_path)
    unit = make_plan(*read_study(tmp_path)).of("table")[0]
    pool = LocalPool(tmp_path, 1)
    try:
        pool.start(unit.record(), 1, 0)
        (process,) = pool._crew.values()
        os.kill(process.pid, signal.SIGKILL)  # while it is starting
        first = _ended(pool)
        assert (first.kind, first.why) == ("failed", "the process ended with exit code -9")
        pool.start(unit.record(), 1, 0)
        assert _ended(pool) == Event(unit.key, "done")
        (process,) = pool._crew.values()
    finally:
        pool.close()
    assert not process.is_alive()


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_its_workers_and_it_goes_on_later(tmp_path: Path) -> None:
    table_study(tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-c", f"{HEED_CTRL_C}; from augury.cli import main; main()", "run",
         str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not (tmp_path / "state.json").exists():
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "")
    assert err == "augury: stopped\n"
    state = json.loads((tmp_path / "state.json").read_text())
    assert not state["finished"]


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, without_package: Callable[[str], None]
) -> None:
    table_study(tmp_path)
    without_package("ray")
    with pytest.raises(UsageError, match=r"pip install 'augury\[ray\]'"):
        run_study(tmp_path, engine="ray")
    without_package("submitit")
    with pytest.raises(UsageError, match=r"pip install 'augury\[slurm\]'"):
        run_study(tmp_path, engine="slurm")


def test_another_engine_is_none(tmp_path: Path) -> None:
    table_study(tmp_path)
    with pytest.raises(
        UsageError, match="no engine is called 'dask'; there are: local, ray, slurm"
    ):
        run_study(tmp_path, engine="dask")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(NO_RAY, reason="the extra ray is not installed")
def test_ray_gives_the_results_of_the_local_pool(tmp_path: Path) -> None:
    for engine in ("local", "ray"):
        (tmp_path / engine).mkdir()
        table_study(tmp_path / engine)
    assert run_study(tmp_path / "local", workers=1).complete
    subprocess.run(
        [sys.executable, "-m", "augury", "run", str(tmp_path / "ray"), "--engine", "ray"],
        check=True,
    )
    assert results(tmp_path / "ray") == results(tmp_path / "local")


NO_SUBMITIT = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None, reason="the extra slurm is not installed"
)


def _jobs(folder: Path, workers: int | None) -> SlurmEngine:
    """The SLURM engine on processes of this machine."""
    return SlurmEngine(folder, workers, "local")


@pytest.mark.slow
@NO_SUBMITIT
def test_jobs_of_slurm_do_units_and_say_which_failed(tmp_path: Path) -> None:
    table_study(tmp_path)
    units = [u.record() for u in make_plan(*read_study(tmp_path)).units.values()]
    first, second = [unit for unit in units if unit.kind == "table"][:2]
    engine = _jobs(tmp_path, 2)
    engine.start(first, 1, 0)
    table = Path(second.places["table"])
    table.rename(tmp_path / "gone.csv")
    engine.start(second, 1, 0)
    events: dict[str, Event] = {}
    deadline = time.monotonic() + 120
    while len(events) < 2 and time.monotonic() < deadline:
        events |= {event.key: event for event in engine.wait(1.0)}
    engine.close()
    assert events[first.key].kind == "done"
    assert events[second.key].kind == "failed"
    assert "there is no such file" in events[second.key].why
    made = (tmp_path / "units" / first.key / "rows.parquet").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    perform(other, first)
    assert (other / "units" / first.key / "rows.parquet").read_bytes() == made


ONE_NODE = Path(__file__).parent / "one_node_slurm"
NO_SLURM = pytest.mark.skipif(
    not all(shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin") for p in SLURM),
    reason="slurm-wlm and munge are not installed",
)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A SLURM of one node, started here."""
    folder = tmp_path / "cluster"
    made = subprocess.run(
        [ONE_NODE, "start", folder], capture_output=True, text=True, timeout=120, check=False
    )
    assert made.returncode == 0, made.stderr
    monkeypatch.setenv("SLURM_CONF", made.stdout.strip())
    yield
    subprocess.run([ONE_NODE, "stop", folder], check=True, timeout=60)


@pytest.mark.slow
@NO_SUBMITIT
@NO_SLURM
def test_a_cluster_does_a_unit_and_says_when_a_job_was_cancelled(
    tmp_path: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This cluster has no accounting, the only way for submitit to learn that a job was killed.
    monkeypatch.setattr("augury.study.run.slurm_engine.QUEUE", 0.2)
    monkeypatch.setattr("augury.study.run.slurm_engine.GRACE", 0.2)
    table_study(tmp_path)
    units = [u.record() for u in make_plan(*read_study(tmp_path)).units.values()]
    first, second = [unit for unit in units if unit.kind == "table"][:2]
    engine = SlurmEngine(tmp_path, 1)
    engine.start(second, 1, 0)
    subprocess.run(["scancel", engine._busy[second.key].job_id], check=True)
    event = _ended(engine)
    assert (event.key, event.kind) == (second.key, "failed")
    assert "ended without a result" in event.why
    monkeypatch.setattr("augury.study.run.slurm_engine.GRACE", 60.0)
    engine.start(first, 1, 0)
    assert _ended(engine) == Event(first.key, "done")
    engine.close()
    assert (tmp_path / "units" / first.key / "rows.parquet").exists()


@pytest.mark.claims
@NO_SUBMITIT
@NO_SLURM
@pytest.mark.skipif(NO_RAY, reason="the extra ray is not installed")
def test_a_cluster_of_slurm_and_ray_give_the_results_of_the_local_pool(
    tmp_path: Path, cluster: None
) -> None:
    engines: tuple[EngineName, ...] = ("local", "ray", "slurm")
    for engine in engines:
        (tmp_path / engine).mkdir()
        table_study(tmp_path / engine)
        assert run_study(tmp_path / engine, engine=engine, workers=2).complete
    wanted = results(tmp_path / "local")
    assert len(wanted) == 12
    assert results(tmp_path / "slurm") == wanted
    assert results(tmp_path / "ray") == wanted
