"""Families of models: how large a model of a reference family would have to be, and density."""

from augury.forecast.families.density import DensityTrend, density_trend
from augury.forecast.families.effective_params import effective_fractions
from augury.forecast.families.observational import (
    Components,
    ObservationalFit,
    components,
    fit_observational,
)
from augury.forecast.families.size import EffectiveSize, ReferenceSize, effective_size
from augury.forecast.families.skills import SkillsFit, fit_skills

__all__ = [
    "Components",
    "DensityTrend",
    "EffectiveSize",
    "ObservationalFit",
    "ReferenceSize",
    "SkillsFit",
    "components",
    "density_trend",
    "effective_fractions",
    "effective_size",
    "fit_observational",
    "fit_skills",
]
