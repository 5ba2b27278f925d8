"""The models of a latent world, several at once, each measured into its own file."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from augury.lab.ladder import TrainingError
from augury.lab.latent.run import latent_run
from augury.lab.latent.world import LatentWorld
from augury.runtime.atomic import atomic_file
from augury.runtime.jobs import Progress, run_jobs


def latent_ladder(
    world: LatentWorld,
    seed: int,
    folder: str | Path,
    *,
    later: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Train and measure the ladder of a world, or its later models; existing files are kept.

    Args:
        world: its configuration.
        seed: of the world, the text and the weights.
        folder: `wWIDTH.parquet` of every model is written there.
        later: the models that show the truth, only few-shot.
        workers: processes; default: one per core.
        progress: called in this process with (model, step, steps).

    Returns:
        The observation table of all of them, as in `latent_run`.

    Raises:
        TrainingError: runs failed; the others are complete.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    jobs = [
        _LadderRun(world, w, seed, later, place) for w in (world.later if later else world.widths)
    ]
    todo = [job for job in reversed(jobs) if not job.file.exists()]
    failures = run_jobs(todo, _run, workers=workers, progress=progress)
    if failures:
        raise TrainingError(place, failures, {j.name: [j.file] for j in jobs if j.file.exists()})
    return pl.concat([pl.read_parquet(job.file) for job in jobs], how="diagonal_relaxed")


@dataclass(frozen=True)
class _LadderRun:
    world: LatentWorld
    width: int
    seed: int
    later: bool
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.world.name}-w{self.width}"

    @property
    def program(self) -> Hashable:
        return self.world.model(self.width)

    @property
    def file(self) -> Path:
        return self.folder / f"w{self.width}.parquet"


def _run(job: _LadderRun, progress: Progress) -> None:
    table = latent_run(job.world, job.width, job.seed, later=job.later, progress=progress)
    with atomic_file(job.file) as fresh:
        table.write_parquet(fresh)
