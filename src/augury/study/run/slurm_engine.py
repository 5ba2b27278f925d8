"""The third engine: a job of SLURM per unit, through submitit.

Every node has to see the study's folder under the same path, and to have the same Augury. What a
site asks of jobs is said by sbatch's own variables (SBATCH_PARTITION, SBATCH_ACCOUNT,
SBATCH_TIMELIMIT ...), which go before what is asked here. submitit keeps scripts and logs in
`slurm/` in the study's folder.
"""

from __future__ import annotations

import math
import os
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from augury.errors import UsageError
from augury.study.results.plan_records import UnitRecord
from augury.study.run.local_pool import Event, prepare

INSTALL = "the engine 'slurm' needs the extra: pip install 'augury[slurm]'"
# Jobs in the queue at once, where the user does not say how many.
SLOTS = 64
# Minutes of a job, where SBATCH_TIMELIMIT does not say.
MINUTES = 24 * 60
# Seconds between two looks at the jobs.
LOOK = 0.5


class SlurmEngine:
    """Units as jobs, each asking for the CPUs and GPUs it takes.

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
        self.slots = workers or SLOTS
        self._busy: dict[str, Any] = {}

    def start(self, unit: UnitRecord, cpus: float, gpus: float) -> None:
        """As `Engine`."""
        asked: dict[str, Any] = {"name": f"augury-{unit.kind}", "timeout_min": MINUTES}
        if self._limited:
            asked |= {"cpus_per_task": math.ceil(cpus), "gpus_per_node": math.ceil(gpus)}
        self._executor.update_parameters(**asked)
        self._busy[unit.key] = self._executor.submit(_do, self._folder, unit.model_dump_json())

    def warm(self) -> tuple[set[str], set[str]]:
        """As `Engine`: where a unit runs is for SLURM to decide."""
        return set(), set()

    def wait(self, seconds: float) -> list[Event]:
        """As `Engine`; jobs tell no steps on the way."""
        end = time.monotonic() + seconds
        while not (over := [key for key, job in self._busy.items() if job.done()]):
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

    def close(self) -> None:
        """As `Engine`: jobs that are under way or in the queue are cancelled."""
        for job in self._busy.values():
            with suppress(Exception):  # it may have ended by itself
                job.cancel(check=False)
        self._busy = {}


def _do(folder: str, unit: str) -> str:
    """Do a unit; empty, or why it failed."""
    prepare(os.environ)  # before JAX is loaded
    from augury.study.units.work import perform

    try:
        perform(folder, UnitRecord.model_validate_json(unit))
    except Exception:
        return traceback.format_exc()
    return ""
