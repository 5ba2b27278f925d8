"""Run a unit, in another process; it writes into the folder it is given.

What a kind does is a function of its unit's record and the results that the unit needs; nothing
else determines what it writes, so that the key names the result.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from augury.study.results.plan_records import UnitRecord
from augury.study.results.store import Store
from augury.study.units.unit import Progress


def perform(folder: str | Path, unit: UnitRecord, progress: Progress | None = None) -> None:
    """Run a unit, unless its result exists.

    Args:
        folder: of the study.
        unit: what to do (`StudyUnit.record`).
        progress: called on the way by kinds that take long.

    Raises:
        Exception: any error in the unit's work; there is then no result.
    """
    store = Store(folder)
    if store.result(unit.key).exists():
        return
    with store.working(unit) as work:
        if not store.result(unit.key).exists():
            _function_of(unit.kind)(store, unit, work, progress or (lambda done, of: None))


# Where the function of each kind is. Imported when called: a table needs no JAX.
_HOME = {
    "train": ("measuring", "train_unit"),
    "table": ("measuring", "table_unit"),
    "measure": ("measuring", "measure_unit"),
    "finetune": ("finetuning", "finetune_unit"),
    "fit": ("forecasting", "fit_unit"),
    "forecast": ("forecasting", "forecast_unit"),
    "score": ("forecasting", "score_unit"),
}


def _function_of(kind: str) -> Callable[[Store, UnitRecord, Path, Progress], None]:
    module, name = _HOME[kind]
    found: Callable[[Store, UnitRecord, Path, Progress], None]
    found = getattr(import_module(f"augury.study.units.{module}"), name)
    return found
