"""What each kind of unit does. It runs in another process, and writes into the folder it is given.

Every function is one of its unit's record and the results it needs; nothing else decides what it
writes, so that the key names the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augury.errors import UsageError
from augury.runtime.atomic import atomic_file
from augury.study.store import Store

if TYPE_CHECKING:
    import polars as pl

    from augury.evaluate import Backend, Task

ROWS = "rows.parquet"
# Called with how far a unit is, and how far it goes.
Progress = Callable[[int, int], None]


def perform(folder: str | Path, unit: Mapping[str, Any], progress: Progress | None = None) -> None:
    """Do a unit, unless its result is there.

    Args:
        folder: of the study.
        unit: its record (`Unit.record`).
        progress: called on the way by kinds that take long.

    Raises:
        Exception: whatever goes wrong in the unit's work; its result is then not there.
    """
    store = Store(folder)
    if store.result(unit["key"]).exists():
        return
    with store.working(unit) as work:
        if not store.result(unit["key"]).exists():
            _doing(unit["kind"])(store, unit, work, progress or (lambda done, of: None))


# Where what each kind does lives. Loaded when it is done: a table needs no JAX.
_HOME = {
    "train": ("work", "train_unit"),
    "table": ("work", "table_unit"),
    "measure": ("work", "measure_unit"),
    "finetune": ("tune", "finetune_unit"),
    "fit": ("analyse", "fit_unit"),
    "forecast": ("analyse", "forecast_unit"),
    "score": ("analyse", "score_unit"),
}


def _doing(kind: str) -> Callable[[Store, Mapping[str, Any], Path, Progress], None]:
    module, name = _HOME[kind]
    found: Callable[[Store, Mapping[str, Any], Path, Progress], None]
    found = getattr(import_module(f"augury.study.{module}"), name)
    return found


def train_unit(store: Store, unit: Mapping[str, Any], work: Path, progress: Progress) -> None:
    """One run of the lab: checkpoints `step-N/`. A killed run goes on where it was."""
    from augury.lab import RunConfig, train

    config = RunConfig.from_json(unit["parameters"]["run"])
    train(config, work, lambda _, step, steps: progress(step, steps))


def table_unit(store: Store, unit: Mapping[str, Any], work: Path, progress: Progress) -> None:
    """Rows of a table that was there already."""
    asked = unit["parameters"]
    write_rows(read_rows(unit["places"]["table"], asked), work)


def read_rows(path: str | Path, asked: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of a table that a unit asks for: those held out, or the others.

    Args:
        path: the table.
        asked: columns (ours from theirs), where, and `held_out` (an SQL expression, or None) with
            `side`, "seen" or "held".

    Raises:
        DataError: the table cannot be read.
        UsageError: the expression cannot be asked of it.
    """
    import polars as pl

    from augury.data import read_table

    table = read_table(path, columns=asked["columns"], where=asked["where"])
    if asked["held_out"] is None:
        return table
    held = pl.sql_expr(asked["held_out"])
    try:
        return table.filter(held if asked["side"] == "held" else ~held.fill_null(False))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise UsageError(
            f"held_out.where: '{asked['held_out']}' cannot be asked of {path}: "
            f"{str(error).splitlines()[0]}; its columns are: {', '.join(table.columns)}"
        ) from error


def measure_unit(store: Store, unit: Mapping[str, Any], work: Path, progress: Progress) -> None:
    """One model on one task. Sampling that was killed goes on from its journal."""
    import polars as pl

    from augury.data import read_table
    from augury.evaluate import measure, pass_until
    from augury.lab import LabBackend

    asked = unit["parameters"]
    task, how = _task(asked["task"], unit["places"]), asked["measure"]
    backend, about = _model(store, unit)
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
            study=work,
            progress=lambda seen: progress(seen.finished, seen.instances),
        ).table()
    write_rows(rows.with_columns(**{name: pl.lit(value) for name, value in about.items()}), work)


def _model(store: Store, unit: Mapping[str, Any]) -> tuple[Backend, dict[str, Any]]:
    """The model of a measurement, and the columns that the study file says of it."""
    from augury.evaluate.models import open_model
    from augury.lab import LabBackend

    asked = unit["parameters"]["model"]
    if "step" in asked:
        return LabBackend(store.result(unit["needs"][0]) / f"step-{asked['step']}"), {}
    about = {name: value for name, value in asked["about"].items() if value is not None}
    return open_model(unit["places"]["model"]), about


def _task(asked: Mapping[str, Any], places: Mapping[str, str]) -> Task:
    from augury.evaluate import read_task
    from augury.lab import lab_instances

    if "task" not in places:
        return lab_instances(asked["name"], asked["instances"])
    return read_task(
        places["task"],
        checker=asked["checker"],
        length=asked["tokens"],
        stop=tuple(asked["stop"]),
        chance=asked["chance"],
    )


def write_rows(rows: pl.DataFrame, work: Path) -> None:
    """Write the observation table of a unit."""
    with atomic_file(work / ROWS) as fresh:
        rows.write_parquet(fresh)
