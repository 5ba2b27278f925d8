"""The sandbox as callers use it: programs in, verdicts out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import NamedTuple, Self

from augury.errors import UsageError
from augury.evaluate.sandbox import packages as offered
from augury.evaluate.sandbox.program import Limits, Program, Verdict
from augury.evaluate.sandbox.worker import Worker

NO_WALLS = (
    "augury: WARNING: model-written code runs WITHOUT WALLS ({by}). It can read, change and send "
    "away whatever this user can.\n"
)


class _Job(NamedTuple):
    number: int
    program: Program
    answers: SimpleQueue[tuple[int, Verdict | Exception]]
    abandoned: Event  # nobody waits for the answer any more


class Sandbox:
    """Runs model-written programs behind walls, and judges each.

    Use it as a context manager. It is safe to call from several threads. Programs never share a
    process, and cannot see each other, the host or the tests that judge them; `walls` lists the
    barriers in place.

    Args:
        limits: what each program may use.
        workers: number of programs judged at a time, each with a fork server for programs and one
            for tests; by default one per core of this process.
        packages: installed packages offered to programs and tests, read-only; their dependencies
            have to be named as well.
        unsafe_no_walls: run programs as plain child processes, with only resource limits. For
            disposable machines.

    Raises:
        UsageError: walls cannot be built here, or a package is not installed; the message says what
            to install or change.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        workers: int | None = None,
        packages: Iterable[str] = (),
        unsafe_no_walls: bool = False,
    ) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"a sandbox needs at least one worker, not {workers}")
        self.packages = offered.checked(packages)
        if unsafe_no_walls:
            sys.stderr.write(NO_WALLS.format(by="unsafe_no_walls=True"))
        self.limits = limits or Limits()
        self.walls: dict[str, str] = {}
        self._walled = not unsafe_no_walls
        self._workers: list[Worker] = []
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        started: SimpleQueue[dict[str, str] | Exception] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, args=(started,), name=f"sandbox-{i}", daemon=True)
            for i in range(workers or _cores())
        ]
        for thread in self._threads:
            thread.start()
        found = [started.get() for _ in self._threads]
        for walls in found:
            if isinstance(walls, Exception):
                self.close()
                raise walls
            self.walls = walls

    def run(self, programs: Iterable[Program]) -> list[Verdict]:
        """Return one verdict per program, in the given order.

        Raises:
            UsageError: the sandbox is closed, or a lost worker cannot be replaced.
        """
        if not self._threads:
            raise UsageError("this sandbox is closed")
        answers: SimpleQueue[tuple[int, Verdict | Exception]] = SimpleQueue()
        abandoned = Event()
        verdicts: dict[int, Verdict] = {}
        try:
            count = 0
            for program in programs:
                self._jobs.put(_Job(count, program, answers, abandoned))
                count += 1
            while len(verdicts) < count:
                index, answer = answers.get()
                if isinstance(answer, Exception):
                    raise answer
                verdicts[index] = answer
        finally:
            abandoned.set()
        return [verdicts[i] for i in range(count)]

    @property
    def processes(self) -> list[int]:
        """Return the process ids of its enclosures, the parents of all its other processes."""
        return [room.process.pid for w in self._workers for room in list(w.rooms.values())]

    def close(self) -> None:
        """Stop the workers after their current programs. Nothing is left running."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self, started: SimpleQueue[dict[str, str] | Exception]) -> None:
        """Run one worker in its own thread, because the kernel ties the walls to that thread."""
        try:
            worker = Worker(self.limits, walled=self._walled, packages=self.packages)
        except Exception as error:
            started.put(error)
            return
        self._workers.append(worker)
        started.put(worker.walls)
        while (job := self._jobs.get()) is not None:
            if job.abandoned.is_set():
                continue
            try:
                job.answers.put((job.number, worker.verdict(job.program)))
            except Exception as error:
                job.answers.put((job.number, error))
        worker.close()


def _cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
