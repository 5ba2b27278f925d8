"""PassUntil: sample each instance until r of its samples pass (Hu et al. 2023, arXiv 2310.03262).

All instances are in flight together. Work goes in waves: a wave is planned from the counts alone,
drawn, checked, and written to the journal as one record before it is counted. So a run that was
killed plans the same waves again and ends with the same counts. The samples of an instance depend
only on seed, task, instance and batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import polars as pl

from augury.errors import DataError
from augury.evaluate.backend import Backend
from augury.evaluate.checkers import Checker, checker, validate_task
from augury.evaluate.folders import measurement_folder
from augury.evaluate.journal import Journal
from augury.evaluate.kept_samples import KEEP
from augury.evaluate.pass_counts import Method, PassCounts
from augury.evaluate.passuntil_run import PassUntilRun, Progress
from augury.evaluate.proposals import Proposal
from augury.evaluate.run_plan import RunOptions, decide_run
from augury.evaluate.tasks import Task
from augury.runtime.atomic import atomic_file


def pass_until(
    backend: Backend,
    task: Task,
    *,
    r: int | None = None,
    max_samples: int | None = None,
    temperature: float = 1.0,
    method: Method | None = None,
    relative_error: float | None = None,
    budget: int | None = None,
    max_tokens_total: int | None = None,
    seed: int = 0,
    check: Checker | None = None,
    study: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    proposal: Sequence[str | Proposal] = (),
    own_share: float = 0.2,
    keep: int = KEEP,
) -> PassCounts:
    """Sample every instance until r samples pass, or the cap.

    Args:
        backend: the model.
        task: its instances; `task.checker` names the check.
        r: passes at which an instance stops. Default 2, with a proposal 20; none if a budget is
            given.
        max_samples: maximum samples per instance. Default 100,000, with a proposal 2,000.
        temperature: of the sampling.
        method: "exact" (computed: accepted answers are known), "tree" (counts down the tree of
            prefixes) or "independent" (plain samples). All have the same distribution; by default
            the cheapest that the model and the check allow. "importance" if there is a proposal.
        relative_error: choose r so that each rate has this relative standard error:
            1/sqrt(r - 2) bounds it (Haldane 1945).
        budget: total number of samples; each wave goes to the instances with fewest passes, then
            fewest samples (arXiv 2510.05197).
        max_tokens_total: maximum total tokens drawn (on a server, drawn and read: what is billed).
            The run ends before a wave that may exceed it; the prompts of the last wave may.
        seed: of all randomness.
        check: replaces the check that the task names.
        study: folder for the journal. A run that was stopped resumes from there; any other setting
            makes another measurement.
        progress: called after each wave.
        proposal: draw from these and reweight (importance sampling): "hint", the solved question
            before the prompt, a model by its name, larger or finetuned, with the same tokens, or
            your own `Proposal`.
        own_share: share of draws from the model itself, so that no weight exceeds 1 / own_share.
        keep: samples of each instance that are kept to be read, this many passes and this many
            failures (`augury samples`).

    Returns:
        `PassCounts`: (n,) passes and samples of the n instances, unbiased pass rates from 0 to 1,
        and the interval of their mean.

    Raises:
        UsageError: a number is out of range, the method does not fit, or another process is running
            this measurement.
        DataError: the check raised, the model gave an invalid answer, or the journal is damaged.

    Source: Hu et al. 2023 (arXiv 2310.03262); rates by Haldane 1945, without the bias of r/K.

    Examples:
        >>> from augury.lab import LabBackend, ModelConfig, RunConfig, lab_instances, train
        >>> run = RunConfig(ModelConfig(8), steps=50, shares={"sort-digits": 1.0})
        >>> model = LabBackend(train(run, "runs/smallest")[-1])
        >>> found = augury.pass_until(model, lab_instances("sort-digits", 4), max_samples=100_000)
        >>> print(f"{found.method}: {found.mean:.0e}")
        exact: ...e-06
    """
    judge = check or checker(task.checker)
    if check is None:
        validate_task(task, judge)
    asked = RunOptions(
        r, max_samples, temperature, method, relative_error, budget, max_tokens_total, seed,
        proposal, own_share,
    )  # fmt: skip
    plan, mixture, notes = decide_run(backend, task, judge, asked)
    with ExitStack() as stack:
        journal = folder = None
        if study is not None:
            settings = plan.settings
            if mixture is not None:
                settings |= {
                    "proposal": [p.name for p in mixture.proposals],
                    "own_share": own_share,
                }
            folder = measurement_folder(Path(study), backend.about, task, judge.name, settings)
            journal = stack.enter_context(Journal(folder / "journal.jsonl"))
            if journal.torn:
                notes.append(f"the journal ended in {journal.torn} torn bytes, which were redone")
        run = PassUntilRun(backend, task, judge, plan, mixture, folder, keep)
        if plan.method == "exact":
            run.compute(journal)
        else:
            run.sample(journal, progress)
        result = run.result(notes)
        if result.weights is not None:
            told = (*result.notes, *result.weights.notes(result.ids))
            result = replace(result, notes=told)
        if journal is not None:
            _save_rows(result, journal.path.parent / "rows.parquet")
    return result


def _save_rows(result: PassCounts, path: Path) -> None:
    try:
        with atomic_file(path) as fresh:
            result.table().write_parquet(fresh)
    except (OSError, pl.exceptions.ComputeError) as error:  # polars' name for a full disk
        raise DataError(
            f"could not be written: {error}; every sample is in the journal, and the same command "
            "resumes from there",
            source=str(path),
            expected="space on the disk",
        ) from error
