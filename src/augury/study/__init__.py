"""A study: a file that says what to train, measure and forecast, and the run that does it.

Names are loaded on first use, so that the command line stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augury.study.plan.mistakes import Mistake, StudyFileError
    from augury.study.plan.planner import make_plan
    from augury.study.plan.study_file import StudyFile, read_study
    from augury.study.plan.study_plan import Plan
    from augury.study.results.ledger import Ledger
    from augury.study.results.recording import scoreboard
    from augury.study.results.store import Store
    from augury.study.run.runner import RunOutcome, run_study
    from augury.study.study import Study
    from augury.study.units.unit import StudyUnit

_HOME = {
    "Ledger": "results.ledger",
    "Mistake": "plan.mistakes",
    "Plan": "plan.study_plan",
    "RunOutcome": "run.runner",
    "Store": "results.store",
    "Study": "study",
    "StudyFile": "plan.study_file",
    "StudyFileError": "plan.mistakes",
    "StudyUnit": "units.unit",
    "make_plan": "plan.planner",
    "read_study": "plan.study_file",
    "run_study": "run.runner",
    "scoreboard": "results.recording",
}

__all__ = [
    "Ledger",
    "Mistake",
    "Plan",
    "RunOutcome",
    "Store",
    "Study",
    "StudyFile",
    "StudyFileError",
    "StudyUnit",
    "make_plan",
    "read_study",
    "run_study",
    "scoreboard",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'augury.study' has no attribute '{name}'")
    return getattr(import_module(f"augury.study.{_HOME[name]}"), name)
