"""The Ray engine: a Ray cluster, which decides where each unit runs.

Every machine has to see the study's folder under the same path, and to have the same Augury: units
are sent as records, results are written into the folder. A process or machine that dies fails its
units; Augury, not Ray, retries them, so that all engines count alike.
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
    """Units as Ray tasks, each with its CPUs and GPUs.

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
        """Start as in `Engine`."""
        asked = self._do.options(num_cpus=cpus, num_gpus=gpus)
        self._busy[asked.remote(self._folder, unit.model_dump_json())] = unit.key

    def warm(self) -> tuple[set[str], set[str]]:
        """Return nothing: Ray decides where a unit runs."""
        return set(), set()

    def wait(self, seconds: float) -> list[Event]:
        """Wait as in `Engine`; Ray reports no steps in between."""
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
        """Close as in `Engine`: running units are ended; an existing cluster is left running."""
        for reference in self._busy:
            self._ray.cancel(reference, force=True)
        self._busy = {}
        if self._ours:
            self._ray.shutdown()


def _join(ray: Any) -> None:
    """Join the running cluster (RAY_ADDRESS, or one on this machine), else start one."""
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(address="auto", log_to_driver=False, logging_level="error")
    except ConnectionError:
        ray.init(**quiet)


def _do(folder: str, unit: str) -> str:
    """Run a unit; return an empty text, or why it failed."""
    try:
        perform(folder, UnitRecord.model_validate_json(unit))
    except Exception:
        return traceback.format_exc()
    return ""
