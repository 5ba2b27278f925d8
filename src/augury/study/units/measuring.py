"""Units that make rows: train a model of the lab, read a table, measure a model on a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.rows import read_rows, write_rows
from augury.study.units.unit import Progress

if TYPE_CHECKING:
    from augury.evaluate import Backend, Checker, Task


def train_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Train one run of the lab: checkpoints `step-N/`. A killed run resumes where it was."""
    from augury.lab import RunConfig, train

    config = RunConfig.from_json(unit.parameters["run"])
    train(config, work, lambda _, step, steps: progress(step, steps))


def table_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Read rows of a table that already exists."""
    write_rows(read_rows(unit.places["table"], unit.parameters), work)


def measure_unit(store: Store, unit: UnitRecord, work: Path, progress: Progress) -> None:
    """Measure one model on one task. Sampling that was killed resumes from its journal."""
    from augury.data import read_table
    from augury.evaluate import measure, pass_until
    from augury.evaluate.kept_samples import KEEP
    from augury.lab import LabBackend

    asked = unit.parameters
    task, how = _open_task(asked["task"], unit.places), asked["measure"]
    backend, about = _open_backend(store, unit, task)
    lab = isinstance(backend, LabBackend)
    if task.checker == "choice":
        from augury.evaluate.choices import save_choices

        rows = read_table(save_choices(backend, task, work))
    elif lab and task.checker == "prefix" and how["method"] in (None, "exact"):
        rows = measure(backend, task, each=True)
    else:
        rows = pass_until(
            backend,
            task,
            r=how["r"],
            max_samples=how["max_samples"],
            temperature=how["temperature"],
            method=how["method"],
            seed=how["seed"],
            check=_extracting(task, asked["task"].get("extract")),
            keep=how.get("keep", KEEP),
            study=work,
            progress=lambda seen: progress(seen.finished, seen.instances),
        ).table()
    write_rows(rows.with_columns(**{name: pl.lit(value) for name, value in about.items()}), work)


def _extracting(task: Task, rule: str | None) -> Checker | None:
    """Return the task's check of a part of an answer; None if the whole is judged."""
    from augury.evaluate.checkers import checker, extracting, validate_task

    if rule is None:
        return None
    judge = checker(task.checker)
    validate_task(task, judge)
    return extracting(judge, rule)


def _open_backend(store: Store, unit: UnitRecord, task: Task) -> tuple[Backend, dict[str, Any]]:
    """Return the model of a measurement, and the columns that the study file states for it."""
    from augury.evaluate.chat import chat_for
    from augury.evaluate.models import Loading, open_model
    from augury.lab import LabBackend

    asked = unit.parameters["model"]
    if "step" in asked:
        return LabBackend(store.result(unit.needs[0]) / f"step-{asked['step']}"), {}
    about = {name: value for name, value in asked["about"].items() if value is not None}
    how = asked.get("asking", {})
    chat = chat_for(how.get("chat", False), how.get("system"), how.get("chat_prompt"), task)
    return open_model(unit.places["model"], Loading(extra=how.get("extra"), chat=chat)), about


def _open_task(asked: Mapping[str, Any], places: Mapping[str, str]) -> Task:
    from augury.evaluate import read_task
    from augury.evaluate.tasks import named_task

    if "task" not in places:
        name = asked["name"]
        return named_task(name if ":" in name else f"lab:{name}", asked["instances"])
    return read_task(
        places["task"],
        checker=asked["checker"],
        length=asked["tokens"],
        stop=tuple(asked["stop"]),
        chance=asked["chance"],
    )
