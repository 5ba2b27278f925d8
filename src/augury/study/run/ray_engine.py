"""The other engine: a Ray cluster, which decides where each unit runs.

Every machine has to see the study's folder under the same path, and to have the same Augury: units
are sent as records, results are written into the folder. A process or machine that dies fails its
units; they are tried again like any others, by us and not by Ray, so that both engines count alike.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from augury.errors import UsageError
from augury.study.results.plan_records import UnitRecord
from augury.study.run.local_pool import Event, prepare
from augury.study.units.work import perform

INSTALL = "the engine 'ray' needs the extra: pip install 'augury[ray]'"


class RayEngine:
    """Units as Ray tasks, each asking for the CPUs and GPUs it takes.

    Args:
        folder: of the study, on a disk that all machines share.
        workers: units at once; by default as many as the cluster has CPUs.

    Raises:
        UsageError: the extra `ray` is not installed, or there is no cluster at RAY_ADDRESS.
    """

    def __init__(self, folder: Path, workers: int | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise UsageError(INSTALL) from error
        self._ray, self._folder = ray, str(folder.absolute())
        self._ours = not ray.is_initialized()
        environment: dict[str, str] = {}
        prepare(environment)
        if self._ours:
            _join(ray)
        self._do = ray.remote(max_retries=0, runtime_env={"env_vars": environment})(_do)
        self.slots = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self._busy: dict[Any, str] = {}

    def start(self, unit: UnitRecord, cpus: float, gpus: float) -> None:
        """As `Engine`."""
        asked = self._do.options(num_cpus=cpus, num_gpus=gpus)
        self._busy[asked.remote(self._folder, unit.model_dump_json())] = unit.key

    def warm(self) -> tuple[set[str], set[str]]:
        """As `Engine`: where a unit runs is for Ray to decide."""
        return set(), set()

    def wait(self, seconds: float) -> list[Event]:
        """As `Engine`; Ray tells no steps on the way."""
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=seconds)
        events = []
        for reference in ready:
            key = self._busy.pop(reference)
            try:
                why = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:  # a process or a machine is gone
                why = f"{type(error).__name__}: {error}"
            events.append(Event(key, "failed", why) if why else Event(key, "done"))
        return events

    def close(self) -> None:
        """As `Engine`: what is under way is ended; a cluster that was there is left as it is."""
        for reference in self._busy:
            self._ray.cancel(reference, force=True)
        self._busy = {}
        if self._ours:
            self._ray.shutdown()


def _join(ray: Any) -> None:
    """The cluster that is running (RAY_ADDRESS, or one on this machine), else one of our own."""
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(address="auto", log_to_driver=False, logging_level="error")
    except ConnectionError:
        ray.init(**quiet)


def _do(folder: str, unit: str) -> str:
    """Do a unit; empty, or why it failed."""
    try:
        perform(folder, UnitRecord.model_validate_json(unit))
    except Exception:
        return traceback.format_exc()
    return ""
