"""The local engine: spawned processes, one thread each, that run units.

An engine is anything with `slots`, `start`, `wait` and `close`; others are in `ray_engine` and
`slurm_engine`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, Protocol

from augury.runtime.garbage import collect_garbage_less
from augury.runtime.jobs import keep_to_one_thread
from augury.study.results.plan_records import UnitRecord

# How often a worker checks whether the run still exists. A killed run cannot tell its workers.
WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Event:
    """What an engine reports about a unit: "step" (done, of), "done", or "failed" (reason)."""

    key: str
    kind: Literal["step", "done", "failed"]
    why: str = ""
    step: tuple[int, int] = (0, 1)


class Engine(Protocol):
    """Runs units, several at once."""

    @property
    def slots(self) -> int:
        """How many units may run at once."""
        ...

    def start(self, unit: UnitRecord, cpus: float, gpus: float) -> None:
        """Start a unit; there has to be a free slot."""
        ...

    def warm(self) -> tuple[set[str], set[str]]:
        """Return programs compiled where the next unit would run, and those compiled anywhere."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """Return events as soon as there are some, or when the time is over."""
        ...

    def close(self) -> None:
        """End all running units; nothing runs on return."""
        ...


class LocalPool:
    """Processes of this machine.

    Args:
        folder: of the study.
        workers: number of processes.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder, self.slots = folder.absolute(), workers
        self._crew: dict[Connection, Any] = {}
        self._busy: dict[Connection, str] = {}
        self._compiled: dict[Connection, set[str]] = {}

    def start(self, unit: UnitRecord, cpus: float, gpus: float) -> None:
        """Start as in `Engine`. Processes are started as needed, and kept."""
        line = self._free() or self._hire()
        self._busy[line] = unit.key
        self._compiled.setdefault(line, set()).update({unit.program} - {""})
        with suppress(OSError):  # a process that is gone shows at the next `recv`
            line.send_bytes(unit.model_dump_json().encode())

    def warm(self) -> tuple[set[str], set[str]]:
        """Return as in `Engine`."""
        line = self._free()
        here = self._compiled.get(line, set()) if line else set()
        return here, set().union(*self._compiled.values())

    def _free(self) -> Connection | None:
        return next((line for line in self._crew if line not in self._busy), None)

    def wait(self, seconds: float) -> list[Event]:
        """Wait as in `Engine`."""
        events = []
        for line in wait(list(self._busy), seconds):
            assert isinstance(line, Connection)
            key = self._busy[line]
            try:
                said = json.loads(line.recv_bytes())
            except (EOFError, OSError):  # killed, for example for lack of memory
                process = self._crew.pop(line)
                process.join()
                del self._busy[line]
                self._compiled.pop(line, None)
                why = f"the process ended with exit code {process.exitcode}"
                events.append(Event(key, "failed", why))
                continue
            if said["kind"] == "step":
                events.append(Event(key, "step", step=tuple(said["step"])))
            else:
                del self._busy[line]
                events.append(Event(key, said["kind"], said.get("why", "")))
        return events

    def close(self) -> None:
        """Close as in `Engine`."""
        for line, process in self._crew.items():
            line.close()
            process.terminate()
        for process in self._crew.values():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        self._crew, self._busy, self._compiled = {}, {}, {}

    def _hire(self) -> Connection:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, str(self._folder)), daemon=True)
        # A process started while SIGINT is blocked never sees Ctrl-C: the run ends it. The first
        # start would unblock it in between, by starting the tracker (Python 3.11).
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the line breaks when the process ends
        self._crew[ours] = process
        return ours


def prepare(environment: Any) -> None:
    """Set up a worker's environment before JAX is loaded: one thread, and cached programs.

    Compiling takes most of a small unit's time; what one worker compiled, the next one loads.
    """
    keep_to_one_thread(environment)
    home = Path(environment.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "augury" / "jax"
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(home))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")


def _work(line: Connection, folder: str) -> None:
    """Do what arrives until the connection breaks, or the process at its other end is gone."""
    prepare(os.environ)
    collect_garbage_less()
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    from augury.study.units.work import perform

    def say(**what: Any) -> None:
        line.send_bytes(json.dumps(what).encode())

    with suppress(EOFError, OSError):
        while True:
            unit = UnitRecord.model_validate_json(line.recv_bytes())
            try:
                perform(folder, unit, lambda done, of: say(kind="step", step=(done, of)))
            except (BrokenPipeError, ConnectionResetError):
                return
            except Exception:
                say(kind="failed", why=traceback.format_exc())
            else:
                say(kind="done")


def _watch(parent: int) -> None:
    """End this process when the one that started it is gone, even in the middle of a unit."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
