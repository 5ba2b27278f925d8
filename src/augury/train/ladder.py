"""Train several runs at once, one thread a process, and report as they go."""

from __future__ import annotations

import os
import queue
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from augury.errors import FitError
from augury.train.trainer import Progress, RunConfig, train

# One thread a process: two threads spin at each other's barriers and become 30x slower on a busy
# machine. Set before the worker imports JAX.
ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}

_events: Any = None


def train_ladder(
    runs: Sequence[RunConfig],
    folder: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, list[Path]]:
    """Train every run into `folder/NAME-seed-SEED`, the largest first; finished ones are kept.

    Args:
        runs: what to train.
        folder: where.
        workers: processes; by default one a core.
        progress: called in this process with (name, step, steps).

    Returns:
        Checkpoint folders by run folder name, in the order of `runs`.

    Raises:
        FitError: runs failed; the others are finished, and the message names each failure.
    """
    folder = Path(folder)
    context = get_context("spawn")
    events = context.Queue()
    names = [f"{run.name}-seed-{run.seed}" for run in runs]
    # Seed by seed, the largest first: the second seed of a width finds it compiled.
    order = sorted(range(len(runs)), key=lambda i: (runs[i].seed, -runs[i].model.params))
    settings = ONE_THREAD | {"JAX_COMPILATION_CACHE_DIR": str(folder.absolute() / ".compiled")}
    old = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    found: dict[str, list[Path]] = {}
    failed: list[str] = []
    try:
        with ProcessPoolExecutor(
            min(workers or os.cpu_count() or 1, len(runs)),
            mp_context=context,
            initializer=_listen,
            initargs=(events,),
        ) as pool:
            jobs = {pool.submit(_train_one, runs[i], folder / names[i]): names[i] for i in order}
            try:
                waiting = set(jobs)
                while waiting:
                    _drain(events, progress)
                    for job in [j for j in waiting if j.done()]:
                        waiting.discard(job)
                        error = job.exception()
                        if error is None:
                            found[jobs[job]] = job.result()
                        else:
                            failed.append(f"{jobs[job]}: {type(error).__name__}: {error}")
                _drain(events, progress)
            except BaseException:
                for process in list(pool._processes.values()):
                    process.terminate()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    if failed:
        raise FitError("training failed: " + "; ".join(failed))
    return {name: found[name] for name in names}


def _drain(events: Any, progress: Progress | None) -> None:
    """Pass on what workers reported, waiting a moment for it."""
    try:
        while True:
            event = events.get(timeout=0.1)
            if progress:
                progress(*event)
    except queue.Empty:
        return


def _listen(events: Any) -> None:
    global _events
    _events = events


def _train_one(run: RunConfig, folder: Path) -> list[Path]:
    return train(run, folder, progress=lambda *event: _events.put(event))
