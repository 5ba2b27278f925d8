"""Train several runs at once, one thread per process, and report progress.

Processes are spawned, so a script that calls `train_ladder` needs the usual `if __name__ ==
"__main__":`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from augury.errors import AuguryError, UsageError
from augury.lab.checkpoint import checkpoint_folder
from augury.lab.config import RunConfig
from augury.lab.trainer import is_complete, train
from augury.runtime.disk import naming_path
from augury.runtime.jobs import Progress, run_jobs

FAILURE = "failure.txt"


class TrainingError(AuguryError):
    """Some runs of a ladder failed; the others are complete.

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
        folder: to write to.
        workers: processes; default: one per core.
        progress: called in this process with (run, step, steps).

    Returns:
        Checkpoint folders by run, in the given order, each earliest first.

    Raises:
        UsageError: two runs would share a folder, or there are none.
        TrainingError: runs failed; the others were trained all the same. Each failure's traceback
            is also in `folder/RUN/failure.txt`.
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
    jobs = [_RunJob(run, folder / run.run) for run in todo]
    failures |= run_jobs(jobs, _train, workers=workers, progress=progress)
    for name, text in failures.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        with naming_path(folder / name / FAILURE):
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


@dataclass(frozen=True)
class _RunJob:
    run: RunConfig
    folder: Path

    @property
    def name(self) -> str:
        return self.run.run

    @property
    def program(self) -> Hashable:
        return self.run.model, self.run.steps


def _train(job: _RunJob, progress: Progress) -> None:
    train(job.run, job.folder, progress)
