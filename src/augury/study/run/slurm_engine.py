"""The SLURM engine: one job per unit, through submitit.

Every node has to see the study's folder under the same path, and to have the same Augury. Site
requirements are set by sbatch's own variables (SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT
...), which take precedence over the requests made here. submitit keeps scripts and logs in `slurm/`
in the study's folder.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from augury.errors import UsageError
from augury.study.results.plan_records import UnitRecord
from augury.study.run.local_pool import Event, prepare

INSTALL = "the engine 'slurm' needs the extra: pip install 'augury[slurm]'"
# Maximum jobs in the queue, if the user gives no number.
SLOTS = 64
# Minutes per job, if SBATCH_TIMELIMIT is not set.
MINUTES = 24 * 60
# Seconds between two checks of the jobs' results, and between two of the queue.
LOOK, QUEUE = 0.5, 20.0
# Seconds from when a job has left the queue until its result must be here: shared disks show a file
# late.
GRACE = 60.0


class SlurmEngine:
    """Units as jobs, each with its CPUs and GPUs.

    Args:
        folder: of the study, on a disk that all nodes share.
        workers: jobs at once.
        cluster: "slurm"; or "local", where jobs are processes of this machine, for tests.

    Raises:
        UsageError: the extra `slurm` is not installed, or there is no SLURM here.
    """

    def __init__(
        self, folder: Path, workers: int | None, cluster: Literal["slurm", "local"] = "slurm"
    ) -> None:
        try:
            import submitit
        except ImportError as error:
            raise UsageError(INSTALL) from error
        self._folder = str(folder.absolute())
        self._limited = cluster == "slurm"
        try:
            self._executor = submitit.AutoExecutor(folder=f"{self._folder}/slurm", cluster=cluster)
        except RuntimeError as error:
            raise UsageError(f"the engine 'slurm' finds no SLURM here: {error}") from error
        # It asks sacct for every job, and complains each time if a cluster keeps no accounts.
        logging.getLogger("submitit").setLevel(logging.ERROR)
        self.slots = workers or SLOTS
        self._busy: dict[str, Any] = {}
        self._asked = 0.0
        self._gone: dict[str, float] = {}  # since when a unit's job has not been in the queue

    def start(self, unit: UnitRecord, cpus: float, gpus: float) -> None:
        """Start as in `Engine`."""
        asked: dict[str, Any] = {"name": f"augury-{unit.kind}", "timeout_min": MINUTES}
        if self._limited:
            asked |= {"cpus_per_task": math.ceil(cpus), "gpus_per_node": math.ceil(gpus)}
        self._executor.update_parameters(**asked)
        self._busy[unit.key] = self._executor.submit(_do, self._folder, unit.model_dump_json())

    def warm(self) -> tuple[set[str], set[str]]:
        """Return nothing: SLURM decides where a unit runs."""
        return set(), set()

    def wait(self, seconds: float) -> list[Event]:
        """Wait as in `Engine`; jobs report no steps in between."""
        end = time.monotonic() + seconds
        while not (over := [key for key, job in self._busy.items() if job.done()]):
            if lost := self._lost():
                return lost
            if time.monotonic() >= end:
                return []
            time.sleep(min(LOOK, max(end - time.monotonic(), 0.01)))
        events = []
        for key in over:
            job = self._busy.pop(key)
            try:
                why = job.result()
            except Exception as error:  # the job was killed, or ran out of time or memory
                why = f"{type(error).__name__}: {error}"
            events.append(Event(key, "failed", why) if why else Event(key, "done"))
        return events

    def _lost(self) -> list[Event]:
        """Return units whose jobs left the queue without a result: killed, cancelled ...

        submitit learns that only from sacct, and waits for ever without accounting.
        """
        now = time.monotonic()
        if not self._limited or now < self._asked + QUEUE:
            return []
        self._asked = now
        queued = _queued()
        if queued is None:
            return []
        for key, job in self._busy.items():
            if job.job_id in queued:
                self._gone.pop(key, None)
            else:
                self._gone.setdefault(key, now)
        lost = [k for k, since in self._gone.items() if k in self._busy and now > since + GRACE]
        events = []
        for key in lost:
            job = self._busy.pop(key)
            why = f"SLURM's job {job.job_id} ended without a result; see {job.paths.stderr}"
            events.append(Event(key, "failed", why))
        return events

    def close(self) -> None:
        """Close as in `Engine`: running and queued jobs are cancelled."""
        for job in self._busy.values():
            with suppress(Exception):  # it may have ended by itself
                job.cancel(check=False)
        self._busy = {}


def _queued() -> set[str] | None:
    """Return the jobs of this user that wait or run; None if the queue cannot be read."""
    asked = ["squeue", "--me", "--noheader", "--format=%A"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return set(said.stdout.split())


def _do(folder: str, unit: str) -> str:
    """Run a unit; return an empty text, or why it failed."""
    prepare(os.environ)  # before JAX is loaded
    from augury.study.units.work import perform

    try:
        perform(folder, UnitRecord.model_validate_json(unit))
    except Exception:
        return traceback.format_exc()
    return ""
