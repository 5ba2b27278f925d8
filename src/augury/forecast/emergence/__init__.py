"""Where few-shot abilities will appear, from small models finetuned on the task."""

from augury.forecast.emergence.design import PlannedRun, rank_units
from augury.forecast.emergence.fit import fit_emergence, fit_emergence_many
from augury.forecast.emergence.follow import reaches
from augury.forecast.emergence.formats import shared_leap
from augury.forecast.emergence.laws import LAWS, EmergenceLaw, emergence_law
from augury.forecast.emergence.moved_curve import MovedStudy
from augury.forecast.emergence.moved_data import moved_study
from augury.forecast.emergence.moved_fit import MovedFit, fit_moved
from augury.forecast.emergence.moved_status import MovedStatus
from augury.forecast.emergence.moved_tasks import fit_moved_tasks
from augury.forecast.emergence.observations import EmergenceData, emergence_data
from augury.forecast.emergence.point import (
    EmergencePoint,
    Order,
    emergence_point,
    emerges_first,
    probability_emerged,
)
from augury.forecast.emergence.premise import Premise, check_premise
from augury.forecast.emergence.reach import (
    Reach,
    in_flops,
    in_params,
    in_tokens,
    planned_losses,
)
from augury.forecast.emergence.result import EmergenceFit, EmergenceStatus, LawFit
from augury.forecast.emergence.simulate import Truth, simulate_study

__all__ = [
    "LAWS",
    "EmergenceData",
    "EmergenceFit",
    "EmergenceLaw",
    "EmergencePoint",
    "EmergenceStatus",
    "LawFit",
    "MovedFit",
    "MovedStatus",
    "MovedStudy",
    "Order",
    "PlannedRun",
    "Premise",
    "Reach",
    "Truth",
    "check_premise",
    "emergence_data",
    "emergence_law",
    "emergence_point",
    "emerges_first",
    "fit_emergence",
    "fit_emergence_many",
    "fit_moved",
    "fit_moved_tasks",
    "in_flops",
    "in_params",
    "in_tokens",
    "moved_study",
    "planned_losses",
    "probability_emerged",
    "rank_units",
    "reaches",
    "shared_leap",
    "simulate_study",
]
