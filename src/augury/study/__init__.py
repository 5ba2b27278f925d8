"""A study: a file that says what to train, measure and forecast, and the run that does it.

Loaded when first asked for, so that the command line stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augury.study.file import Mistake, StudyFile, StudyFileError, read_study
    from augury.study.ledger import Ledger
    from augury.study.plan import Plan, make_plan
    from augury.study.record import scoreboard
    from augury.study.run import Outcome, run_study
    from augury.study.store import Store
    from augury.study.study import Study
    from augury.study.units import Unit

_HOME = {
    "Ledger": "ledger",
    "Mistake": "file",
    "Outcome": "run",
    "Plan": "plan",
    "Store": "store",
    "Study": "study",
    "StudyFile": "file",
    "StudyFileError": "file",
    "Unit": "units",
    "make_plan": "plan",
    "read_study": "file",
    "run_study": "run",
    "scoreboard": "record",
}

__all__ = [
    "Ledger",
    "Mistake",
    "Outcome",
    "Plan",
    "Store",
    "Study",
    "StudyFile",
    "StudyFileError",
    "Unit",
    "make_plan",
    "read_study",
    "run_study",
    "scoreboard",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'augury.study' has no attribute '{name}'")
    return getattr(import_module(f"augury.study.{_HOME[name]}"), name)
