"""The finetuning sweep: every checkpoint x amount of data x random subset x seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from augury.errors import AuguryError, UsageError
from augury.evaluate import Task
from augury.evaluate.measurement import INSTANCES
from augury.finetune.examples import source
from augury.finetune.models import Model, find_models
from augury.finetune.processes import check_processes
from augury.finetune.records import (
    Method,
    Settings,
    Unit,
    load_settings,
    load_unit,
    same,
    save_settings,
    save_unit,
    settings_path,
    table,
)
from augury.finetune.steps import check_method, length_of_runs, middle_of
from augury.finetune.work import SearchJob, UnitsJob, search, work
from augury.lab import Recipe
from augury.runtime.jobs import Progress, run_jobs


class SweepError(AuguryError):
    """Some units of a sweep failed; the others are recorded.

    Attributes:
        failures: traceback by checkpoint.
    """

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        why = "; ".join(f"{n}: {t.strip().splitlines()[-1]}" for n, t in failures.items())
        super().__init__(
            f"finetuning failed at {len(failures)} checkpoints, finished units are recorded: {why}"
        )


def finetune_sweep(
    models: Sequence[str | Path],
    task: str | Task,
    amounts: Sequence[int],
    subsets: int | Sequence[int] = 2,
    seeds: int | Sequence[int] = 2,
    *,
    out: str | Path,
    method: Method = "full",
    subspace: Sequence[int] = (),
    learning_rate: float | None = None,
    batch: int = 16,
    steps: int | None = None,
    passes: int | None = None,
    every: int | None = None,
    patience: int = 4,
    instances: int = INSTANCES,
    samples: int = 128,
    shots: int | None = None,
    pool: Task | None = None,
    about: str | Path | None = None,
    workers: int | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Finetune every checkpoint on every subset of a task, and score the result.

    A sweep that was killed resumes, with the same final table. Training ends early when the loss on
    held-out examples of the task (256, besides the amount) no longer falls. Scores are exact pass
    probabilities if the passing answers are listed, else sampled rates.

    Learning rate: searched at the checkpoint in the middle by size (its last step) on the smallest
    and the largest amount (for a checkpoint of transformers: on the middle one), starting at the
    lab's own pretraining rate, by factors of 2 until both neighbours are worse. Other widths get it
    times sqrt(that width / width), the rule of the lab's pretraining. A study keeps the rate that
    it found.

    Args:
        models: "lab:DIR" (a checkpoint, a run with all its checkpoints, or a ladder), "hf:PATH" or
            "hf:ID@REVISION". Checkpoints along pretraining are models like any other.
        task: a lab task by name, or your own task with references. The first reference is learned,
            put right after the prompt.
        amounts: numbers of finetuning examples. 0, the untuned model, is always included.
        subsets: how many random subsets of each amount, or which. Independent draws, the same for
            every model.
        seeds: how many runs on each, or which: the order of examples, and where LoRA starts.
        out: the study's folder; `read_table(out)` reads its contents.
        method: "full"; "lora" (transformers only; rank 8 on every linear map); or "head", only the
            output embedding, which cannot teach what pretraining has not left in the layers.
        subspace: also train in random subspaces of the weights with these dimensions (lab models;
            `measure_intrinsic_dimension` reads the result). One draw per seed. A model with no more
            parameters than that is left out.
        learning_rate: peak rate at that middle width, instead of the search.
        batch, steps, passes, every, patience: see `lab.Recipe`. By default steps follow the amount
            for checkpoints of transformers (three passes, at least 20 steps), and are 1,000 where
            models of the lab take part. Steps given alone are the most there are.
        instances: number of instances to score on. They are never trained on.
        samples: per instance, if the score is sampled.
        shots: solved examples in a prompt; by default 1 for the lab's "rule", else 0.
        pool: examples to learn from, if your own task is scored as a whole.
        about: table of what checkpoints do not state themselves: model, and any of step, params,
            tokens, loss ... . The lab's checkpoints state all of it.
        workers: processes, one thread each; 0 for this one. Default: one per core, but checkpoints
            of transformers, which use all cores or the GPU, one by one in this process.
        processes: that share every run of a checkpoint of transformers, one per GPU, started by
            accelerate (`augury.finetune.processes`). Results are equal to rounding, so a sweep may
            be resumed with another number.
        progress: called in this process with (checkpoint, units done, units to do).

    Returns:
        Observation table, one row per unit: model, family, run, step, params, tokens, flops, loss,
        seed (of the finetuning), finetune_examples, finetune_task, subset, shots, task,
        metric "pass", value, stderr, n, chance, and logprob (mean) or passes and samples;
        trained_params where a subspace was trained, else null.

    Raises:
        UsageError: no models, an unknown task, more examples requested than available, an option
            out of range, or `out` holds a sweep with other settings.
        DataError: a checkpoint or a unit's record is damaged.
        SweepError: finetuning failed at some checkpoints; the others are recorded.
        ProcessError: one of several `processes` failed; finished units are recorded.
    """
    found = find_models(models, about)
    which = _amounts(amounts)
    of, runs = _several(subsets, "subsets"), _several(seeds, "seeds")
    check_method(method)
    if method == "lora" and any(model.kind == "lab" for model in found):
        raise UsageError("LoRA is for checkpoints of transformers: the lab's are finetuned in full")
    _check_subspace(subspace, method, found)
    if samples < 1:
        raise UsageError(f"samples must be at least 1, not {samples}")
    if workers is not None and workers < 0:
        raise UsageError(f"workers must not be negative, but is {workers}")
    check_processes(processes, batch, found, workers)
    examples = source(task, instances, shots, pool)
    examples.draw(0, max(which))  # before anything runs: are there enough?
    middle = middle_of(found)
    real = all(model.kind == "hf" for model in found)
    steps, passes, every = length_of_runs(real, steps, passes, every)
    settings = Settings(
        task=examples.scored.name,
        task_digest=examples.digest,
        method=method,
        rate=learning_rate or 1.0,
        at=middle.width,
        batch=batch,
        steps=steps,
        passes=passes,
        every=every,
        patience=patience,
        samples=samples,
        shots=examples.shots,
    )
    Recipe(1.0 if learning_rate is None else learning_rate, batch, steps, passes, every, patience)
    study = Path(out)
    search_job = SearchJob(
        middle,
        _searched(middle, which),
        examples,
        settings,
        settings_path(study, settings.task).parent / "search.jsonl",
        processes,
    )
    settings = _settled(settings, learning_rate, study, search_job, workers, progress)
    units = [
        Unit(model, amount, subset, seed, dimensions)
        for model in found
        for amount in (0, *which)
        for subset in (of if amount else (0,))
        for seed in (runs if amount else (0,))
        for dimensions in (None, *sorted(set(subspace)))
        if dimensions is None or (amount and dimensions < model.params)
    ]
    done = {unit: load_unit(unit.folder(study, settings.task), settings) for unit in units}
    for unit, record in done.items():
        if record is not None and not unit.model.told.items() <= record["row"].items():
            record["row"] |= unit.model.told  # the user may know more about it by now
            save_unit(unit.folder(study, settings.task), record)
    jobs = []
    for model in sorted(found, key=lambda m: -m.params):
        todo = tuple(u for u in units if u.model is model and done[u] is None)
        if todo:
            jobs.append(UnitsJob(model, todo, examples, settings, study, processes))
    failures = _run(jobs, workers, progress)
    if failures:
        raise SweepError(failures)
    records = [done[u] or load_unit(u.folder(study, settings.task), settings) for u in units]
    return table([record for record in records if record is not None])


def _searched(middle: Model, amounts: Sequence[int]) -> tuple[int, ...]:
    """Return the amounts on which a learning rate is searched."""
    if middle.kind == "hf":  # a step of a real checkpoint is expensive: one represents both ends
        return (sorted(amounts)[len(amounts) // 2],)
    return tuple(sorted({min(amounts), max(amounts)}))


def _settled(
    settings: Settings,
    rate: float | None,
    study: Path,
    job: SearchJob,
    workers: int | None,
    progress: Progress | None,
) -> Settings:
    """Return the settings with their learning rate: the study's, the given one, or searched."""
    before = load_settings(study, settings.task)
    if before is not None:
        kept = {"at": before["at"]} | ({} if rate is not None else {"rate": before["rate"]})
        settings = replace(settings, **kept)
        same(before, settings, settings_path(study, settings.task))
        return settings
    if rate is None:
        failures = _run([job], workers, progress)
        if failures:
            raise SweepError(failures)
        settings = replace(settings, rate=search(job))  # all in the journal by now
    save_settings(study, settings)
    return settings


def _run(
    jobs: Sequence[UnitsJob | SearchJob], workers: int | None, progress: Progress | None
) -> dict[str, str]:
    """Return failures by checkpoint; an error in this process is raised unchanged."""

    def here(job: UnitsJob | SearchJob) -> bool:
        return workers == 0 or (workers is None and job.model.kind == "hf")

    sent = [job for job in jobs if not here(job)]
    failures = run_jobs(sent, work, workers=workers, progress=progress)
    for job in filter(here, jobs):
        work(job, progress or (lambda *_: None))
    return failures


def _check_subspace(subspace: Sequence[int], method: str, models: Sequence[Model]) -> None:
    """Refuse what a sweep in subspaces cannot do."""
    if any(dimensions < 1 for dimensions in subspace):
        raise UsageError(f"a subspace has at least 1 dimension, not {min(subspace)}")
    if subspace and (method != "full" or any(model.kind != "lab" for model in models)):
        raise UsageError("a subspace is of all weights of models of the lab: use method 'full'")


def _amounts(amounts: Sequence[int]) -> list[int]:
    wanted = sorted({int(a) for a in amounts} - {0})
    if not wanted or wanted[0] < 0:
        raise UsageError(f"amounts must be positive numbers of examples, not {list(amounts)}")
    return wanted


def _several(given: int | Sequence[int], name: str) -> list[int]:
    found = list(range(given)) if isinstance(given, int) else sorted(set(given))
    if not found or found[0] < 0:
        raise UsageError(f"{name} must be at least 1, or numbers from 0 up, not {given}")
    return found
