"""Jobs done by several processes at once, one thread each; a failed job does not affect the others.

Processes are spawned, so a script that uses them needs the usual `if __name__ == "__main__":`.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Hashable, Iterator, MutableMapping, Sequence, Set
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from augury.runtime.garbage import collect_garbage_less

# One thread per process: two threads spin at each other's barriers and become 30x slower on a busy
# machine. Read when JAX starts its backend, which no worker has done before these are set.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NPROC": "1"}
XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
# Called with the job's name, its progress, and its total.
Progress = Callable[[str, int, int], None]


class Job(Protocol):
    """What a worker is sent: it is pickled on its way."""

    @property
    def name(self) -> str:
        """Unique name, used in failures and progress."""
        ...

    @property
    def program(self) -> Hashable:
        """Jobs with the same value share compiled programs within a process."""
        ...


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Any],
    work: Callable[[Any, Progress], None],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Do every job, in this order except for those that share a program with the last one.

    Args:
        jobs: as `Job`.
        work: a module's function of (job, progress); it runs in another process.
        workers: processes; default: one per core.
        progress: called in this process with what `work` reports.

    Returns:
        Tracebacks of the jobs that failed, by name. Every process is gone on return.
    """
    todo = list(jobs)
    failures: dict[str, str] = {}
    crew: dict[Connection, Any] = {}
    busy: dict[Connection, Job] = {}
    compiled: dict[Connection, set[Hashable]] = {}

    def hire() -> None:
        ours, process = _worker(work)
        crew[ours] = process
        compiled[ours] = set()
        assign(ours)

    def assign(line: Connection) -> None:
        busy.pop(line, None)
        if todo:
            begun = set().union(*compiled.values())
            busy[line] = todo.pop(_next(todo, compiled[line], begun))
            compiled[line].add(busy[line].program)
            with suppress(OSError):  # a process that is gone shows at the next `recv`
                line.send(busy[line])

    try:
        for _ in range(min(workers or cores(), len(todo))):
            hire()
        while busy:
            for line in wait(list(busy)):
                assert isinstance(line, Connection)
                name = busy[line].name
                try:
                    kind, content = line.recv()
                except (EOFError, OSError):  # killed, for instance for want of memory
                    crew[line].join()
                    failures[name] = f"the process ended with exit code {crew[line].exitcode}"
                    del busy[line]
                    if todo:
                        hire()
                    continue
                if kind == "step":
                    if progress:
                        progress(*content)
                    continue
                if kind == "failed":
                    failures[name] = content
                assign(line)
    finally:
        for line, process in crew.items():
            line.close()
            process.terminate()
        for process in crew.values():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
    return failures


def _next(todo: Sequence[Job], own: Set[Hashable], begun: Set[Hashable]) -> int:
    """Choose the next job: one compiled here, else the first not compiled, else the first."""
    programs = [job.program for job in todo]
    here = [i for i, program in enumerate(programs) if program in own]
    nowhere = [i for i, program in enumerate(programs) if program not in begun]
    return [*here, *nowhere, 0][0]


def _worker(work: Callable[[Any, Progress], None]) -> tuple[Connection, Any]:
    """Start a new process, and return the connection to it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, work), daemon=True)
    resource_tracker.ensure_running()  # starting it in between would unblock interrupts (3.11)
    with interrupts_blocked():
        process.start()
    theirs.close()  # so that the line breaks when the process ends
    return ours, process


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block interrupts, so that a process started inside never sees Ctrl-C: its parent ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def keep_to_one_thread(environment: MutableMapping[str, str]) -> None:
    """Set up the environment of one of many processes, before JAX is loaded in it.

    Existing settings are not added again: JAX caches compiled code by its flags.
    """
    environment.update(ONE_THREAD)
    flags = environment.get("XLA_FLAGS", "")
    if XLA_ONE_THREAD not in flags:
        environment["XLA_FLAGS"] = f"{flags} {XLA_ONE_THREAD}".strip()


def _work(line: Connection, work: Callable[[Any, Progress], None]) -> None:
    """Do the jobs that arrive until the connection breaks, as it does when the parent is gone."""
    keep_to_one_thread(os.environ)
    collect_garbage_less()
    try:
        while True:
            job = line.recv()
            try:
                work(job, lambda *event: line.send(("step", event)))
            except (BrokenPipeError, ConnectionResetError):
                return
            except Exception:
                line.send(("failed", traceback.format_exc()))
            else:
                line.send(("done", None))
    except (EOFError, OSError):
        return
