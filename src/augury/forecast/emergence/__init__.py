"""Where few-shot abilities will appear, from small models finetuned on the task."""

from augury.forecast.emergence.design import PlannedRun, rank_units
from augury.forecast.emergence.fit import fit_emergence, fit_emergence_many
from augury.forecast.emergence.follow import reaches
from augury.forecast.emergence.formats import shared_leap
from augury.forecast.emergence.laws import LAWS, EmergenceLaw, emergence_law
from augury.forecast.emergence.observations import EmergenceData, emergence_data
from augury.forecast.emergence.point import (
    EmergencePoint,
    Order,
    emergence_point,
    emerges_first,
    probability_emerged,
)
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
    "Order",
    "PlannedRun",
    "Reach",
    "Truth",
    "emergence_data",
    "emergence_law",
    "emergence_point",
    "emerges_first",
    "fit_emergence",
    "fit_emergence_many",
    "in_flops",
    "in_params",
    "in_tokens",
    "planned_losses",
    "probability_emerged",
    "rank_units",
    "reaches",
    "shared_leap",
    "simulate_study",
]
