"""What one process of a sweep does: finetune a checkpoint on each of its units, score, record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from augury.evaluate import Backend
from augury.evaluate.journal import Journal
from augury.finetune.examples import Source
from augury.finetune.models import Model
from augury.finetune.records import Settings, Unit, save_unit
from augury.finetune.score import score
from augury.lab import (
    LabBackend,
    LossCurve,
    Recipe,
    finetune,
    load_checkpoint,
    random_subspace,
)
from augury.runtime.jobs import Progress

# The search for a learning rate starts here, at its width, and continues by factors of 2 (lab) or
# about 3 (transformers) until its neighbours are worse. The lab's start is the rate of its
# pretraining, .01 sqrt(16 / width): of its multiples the best on widths 12, 32 and 64, in batches
# of 64. The others are common for large models; on a tiny one the search climbs to .01.
START = {"lab": 0.04, "full": 1e-4, "lora": 1e-3, "head": 1e-3}
FACTOR = {"lab": 2.0, "full": 10**0.5, "lora": 10**0.5, "head": 10**0.5}
# Maximum number of rates tried.
MOST = 9
# The lowest rate within this share of the lowest held-out loss is chosen: the optimum is flat, and
# one step beyond it runs diverge. On width 12 (batch 64), rates of .012 to .046 differ by 1.2 %,
# and at .046 one of four runs learned nothing.
FLAT = 0.02


# In a subspace the rate found is multiplied by weights per dimension, up to this. Width 16 (7,888
# weights), sort-letters and sort-digits, factors of 1 to 16, one seed: best were 2 to 4 at 4,096
# dimensions, 8 or 16 at 1,024, 8 to 16 below; at 16, those from 4 on are alike.
MOST_FASTER = 16.0


@dataclass(frozen=True)
class UnitsJob:
    """Units of one checkpoint; `processes` share each run of a checkpoint of transformers."""

    model: Model
    units: tuple[Unit, ...]
    source: Source
    settings: Settings
    study: Path
    processes: int = 1

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def program(self) -> Hashable:
        return self.model.program


@dataclass(frozen=True)
class SearchJob:
    """The search for a learning rate, at one checkpoint; the settings' own rate is not used."""

    model: Model
    amounts: tuple[int, ...]
    source: Source
    settings: Settings
    journal: Path
    processes: int = 1

    @property
    def name(self) -> str:
        return f"learning rate at {self.model.name}"

    @property
    def program(self) -> Hashable:
        return self.model.program


def work(job: UnitsJob | SearchJob, progress: Progress) -> None:
    """Do one job."""
    if isinstance(job, SearchJob):
        search(job, progress)
        return
    about = {**_open_untuned(job.model).about, **job.model.told}
    for done, unit in enumerate(job.units, 1):

        def look(step: int, of: int, loss: float, unit: Unit = unit, done: int = done) -> None:
            what = f"{unit.amount} examples, step {step} of {of}, held-out loss {loss:.3f}"
            progress(f"{job.name}: {what}", done - 1, len(job.units))

        run_unit(unit, job, about, look)
        progress(job.name, done, len(job.units))


def run_unit(
    unit: Unit,
    job: UnitsJob,
    about: Mapping[str, Any],
    look: Callable[[int, int, float], None] | None = None,
) -> None:
    """Finetune, score, and write the record, completely or not at all.

    Args:
        unit: what to do.
        job: that it is part of.
        about: columns of the observation table that identify the model.
        look: called with step, steps and held-out loss, for a checkpoint of transformers.
    """
    settings, source, began = job.settings, job.source, time.perf_counter()
    recipe = settings.recipe(unit.model.width)
    with tuned(unit, source, settings.method, recipe, look, job.processes) as (backend, curve):
        trained = time.perf_counter() - began
        scored = score(backend, source.scored, settings.samples, unit.seed)
    row = {
        **about,
        "run": unit.model.run,
        "step": unit.model.step,
        "seed": unit.seed if unit.amount else None,
        "finetune_examples": unit.amount,
        "finetune_task": settings.task if unit.amount else None,
        "subset": str(unit.subset) if unit.amount else None,
        "shots": settings.shots,
        **scored,
    }
    if unit.dimensions is not None:
        row["trained_params"] = float(unit.dimensions)
    record = {
        "settings": asdict(settings),
        "unit": {"amount": unit.amount, "subset": unit.subset, "seed": unit.seed}
        | ({} if unit.dimensions is None else {"dimensions": unit.dimensions}),
        "model": dict(unit.model.about),
        "recipe": asdict(recipe) if unit.amount else None,
        "processes": job.processes,
        "curve": None
        if curve is None
        else {
            "steps": list(curve.steps),
            # JSON has no infinity: a loss that was not a number is null.
            "held_out": [x if np.isfinite(x) else None for x in curve.losses],
            "best": curve.steps[curve.best],
        },
        "row": row,
        "seconds": {"finetuning": trained, "in all": time.perf_counter() - began},
    }
    save_unit(unit.folder(job.study, settings.task), record)


def search(job: SearchJob, progress: Progress | None = None) -> float:
    """Find the lowest learning rate about as good as the best, by mean held-out loss.

    It climbs to the best, then down while about as good. Every rate tried is in the journal: a
    search that was killed resumes.
    """
    kind = "lab" if job.model.kind == "lab" else job.settings.method
    factor = FACTOR[kind]
    start = START[kind] * job.model.width**-0.5 if kind == "lab" else START[kind]
    with Journal(job.journal) as journal:
        of = {**asdict(job.settings), "model": job.model.digest, "amounts": list(job.amounts)}
        found: dict[int, float] = {
            int(r["power"]): r["held_out"] for r in journal.records if r["of"] == of
        }

        def loss(power: int) -> float:
            if power not in found and len(found) < MOST:
                recipe = job.settings.recipe(job.model.width, start * factor**power)
                losses = []
                for amount in job.amounts:
                    unit = Unit(job.model, amount, 0, 0)

                    def look(step: int, of: int, held_out: float, amount: int = amount) -> None:
                        what = f"{amount} examples, rate {recipe.rate:.2g}, step {step} of {of}"
                        if progress is not None:
                            progress(f"{job.name}: {what}, held-out loss {held_out:.3f}", 0, 1)

                    how = (job.settings.method, recipe, look, job.processes)
                    with tuned(unit, job.source, *how) as (_, curve):
                        assert curve is not None
                        losses.append(min(curve.losses))
                found[power] = float(np.mean(losses))
                record = {"power": power, "rate": recipe.rate, "losses": losses}
                journal.append({**record, "held_out": found[power], "of": of})
            return found.get(power, float("inf"))

        best = 0
        while True:
            nearest = min((best, best - 1, best + 1), key=loss)
            if nearest == best:
                break
            best = nearest
        chosen = best
        while loss(chosen - 1) <= (1 + FLAT) * loss(best):
            chosen -= 1
        return start * factor**chosen


@contextmanager
def tuned(
    unit: Unit,
    source: Source,
    method: str,
    recipe: Recipe,
    look: Callable[[int, int, float], None] | None = None,
    processes: int = 1,
) -> Iterator[tuple[Backend, LossCurve | None]]:
    """Yield the finetuned model, and its curve; the untuned model for amount 0."""
    model = unit.model
    if not unit.amount:
        yield _open_untuned(model), None
        return
    pairs = source.draw(unit.subset, unit.amount)
    # The order of the examples (and where LoRA starts) depends only on these.
    rng = np.random.default_rng([4, unit.seed, unit.subset, unit.amount])
    if model.kind == "lab":
        saved = load_checkpoint(model.path)
        shape, subspace = saved.config.model, None
        if unit.dimensions is not None:
            own = np.random.default_rng([6, unit.seed, unit.dimensions])
            subspace = random_subspace(shape.params, unit.dimensions, own)
            faster = min(shape.params / unit.dimensions, MOST_FASTER)
            recipe = replace(recipe, rate=recipe.rate * faster)
        weights, curve = finetune(
            shape,
            saved.weights,
            pairs,
            source.held_out,
            recipe,
            rng,
            only_head=method == "head",
            subspace=subspace,
        )
        yield LabBackend(replace(saved, weights=weights)), curve
        return
    from augury.evaluate.hf import TransformersBackend
    from augury.finetune.hf import finetune_transformers
    from augury.finetune.processes import finetune_in_processes

    alone = processes == 1
    train = finetune_transformers if alone else partial(finetune_in_processes, processes)
    with tempfile.TemporaryDirectory(prefix="augury-finetune-") as folder:
        out = Path(folder)
        curve = train(
            model.path,
            model.revision,
            pairs,
            source.held_out,
            recipe,
            rng,
            method=method,
            out=out,
            look=look,
        )
        yield TransformersBackend(out), curve


def _open_untuned(model: Model) -> Backend:
    """Open the untuned model."""
    if model.kind == "lab":
        return LabBackend(model.path)
    from augury.evaluate.hf import TransformersBackend

    return TransformersBackend(model.path, model.revision)
