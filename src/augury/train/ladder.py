"""Train several runs at once, one thread a process, and report as they go.

Processes are spawned, so a script that calls `train_ladder` needs the usual
`if __name__ == "__main__":` around what it does.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from augury.errors import AuguryError, UsageError
from augury.train.checkpoint import checkpoint_folder
from augury.train.config import RunConfig
from augury.train.trainer import Progress, is_complete, train

# One thread a process: two threads spin at each other's barriers and become 30x slower on a busy
# machine. Read when JAX starts its backend, which no worker has done before these are set.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NPROC": "1"}
XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
FAILURE = "failure.txt"


class TrainingError(AuguryError):
    """Runs of a ladder failed; the others are complete.

    Attributes:
        failures: traceback of every run that failed, by run.
        checkpoints: folders of the complete ones, by run.
    """

    def __init__(
        self, folder: Path, failures: dict[str, str], checkpoints: dict[str, list[Path]]
    ) -> None:
        self.failures = failures
        self.checkpoints = checkpoints
        why = "; ".join(f"{n}: {t.strip().splitlines()[-1]}" for n, t in failures.items())
        super().__init__(
            f"{len(failures)} of {len(failures) + len(checkpoints)} runs failed, the others are "
            f"complete (tracebacks in {folder}/RUN/{FAILURE}): {why}"
        )


def train_ladder(
    runs: Sequence[RunConfig],
    folder: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, list[Path]]:
    """Train every run into `folder/RUN`, the largest first; complete ones are kept.

    Args:
        runs: what to train.
        folder: where.
        workers: processes; by default one a core.
        progress: called in this process with (run, step, steps).

    Returns:
        Checkpoint folders by run, in the order asked for, each earliest first.

    Raises:
        UsageError: two runs would share a folder, or there are none.
        TrainingError: runs failed; the others were trained all the same. Each failure's traceback
            lies in `folder/RUN/failure.txt` too.
    """
    folder = Path(folder)
    named = {run.run: run for run in runs}
    if not runs or (workers is not None and workers < 1):
        raise UsageError(f"a ladder needs runs and workers, not {len(runs)} and {workers}")
    if len(named) < len(runs):
        twice = sorted({r.run for r in runs if [q.run for q in runs].count(r.run) > 1})
        raise UsageError(f"runs of the same name: {', '.join(twice)}; give each family its name")
    failures: dict[str, str] = {}
    todo: list[RunConfig] = []
    for run in runs:
        try:
            if not is_complete(run, folder / run.run):
                todo.append(run)
            elif progress:
                progress(run.run, run.steps, run.steps)
        except AuguryError as error:
            failures[run.run] = str(error)
    todo.sort(key=lambda run: -run.model.params * run.steps)
    failures |= _train_all(todo, folder, workers or _cores(), progress)
    for name, text in failures.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / FAILURE).write_text(text.rstrip() + "\n")
    for name in named.keys() - failures.keys():
        (folder / name / FAILURE).unlink(missing_ok=True)
    done = {
        name: [checkpoint_folder(folder / name, step) for step in run.saves]
        for name, run in named.items()
        if name not in failures
    }
    if failures:
        raise TrainingError(folder, failures, done)
    return done


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _train_all(
    todo: list[RunConfig], folder: Path, workers: int, progress: Progress | None
) -> dict[str, str]:
    """Tracebacks of the runs that failed, by run; every process is gone on return."""
    failures: dict[str, str] = {}
    crew: dict[Connection, Any] = {}
    busy: dict[Connection, RunConfig] = {}
    compiled: dict[Connection, set[Any]] = {}

    def hire() -> None:
        ours, process = _worker(folder)
        crew[ours] = process
        compiled[ours] = set()
        assign(ours)

    def assign(line: Connection) -> None:
        busy.pop(line, None)
        if todo:
            begun = set().union(*compiled.values())
            busy[line] = todo.pop(_next(todo, compiled[line], begun))
            compiled[line].add(_program(busy[line]))
            with suppress(OSError):  # a process that is gone shows at the next `recv`
                line.send(busy[line])

    try:
        for _ in range(min(workers, len(todo))):
            hire()
        while busy:
            for line in wait(list(busy)):
                assert isinstance(line, Connection)
                run = busy[line].run
                try:
                    kind, content = line.recv()
                except (EOFError, OSError):  # killed, for instance for want of memory
                    crew[line].join()
                    failures[run] = f"the process ended with exit code {crew[line].exitcode}"
                    del busy[line]
                    if todo:
                        hire()
                    continue
                if kind == "step":
                    if progress:
                        progress(*content)
                    continue
                if kind == "failed":
                    failures[run] = content
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


def _program(run: RunConfig) -> Any:
    """Runs that agree in this share one compiled program within a process."""
    return run.model, run.steps


def _next(todo: Sequence[RunConfig], own: Set[Any], begun: Set[Any]) -> int:
    """Which run to take: one compiled here, else the first that nobody compiled, else the first."""
    programs = [_program(run) for run in todo]
    here = [i for i, program in enumerate(programs) if program in own]
    nowhere = [i for i, program in enumerate(programs) if program not in begun]
    return [*here, *nowhere, 0][0]


def _worker(folder: Path) -> tuple[Connection, Any]:
    """A new process, and the line to it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, folder), daemon=True)
    with _interrupts_blocked():
        process.start()
    theirs.close()  # so that the line breaks when the process ends
    return ours, process


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process started inside never sees Ctrl-C: it is for the parent to end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(line: Connection, folder: Path) -> None:
    """Train what comes down the line until it breaks, as it does when the parent is gone."""
    os.environ.update(ONE_THREAD)
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA_ONE_THREAD}".strip()
    try:
        while True:
            run = line.recv()
            try:
                train(run, folder / run.run, lambda *event: line.send(("step", event)))
            except (BrokenPipeError, ConnectionResetError):
                return
            except Exception:
                line.send(("failed", traceback.format_exc()))
            else:
                line.send(("done", None))
    except (EOFError, OSError):
        return
