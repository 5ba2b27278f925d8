"""Fitting: likelihoods, one batched engine, uncertainty, and diagnostics."""

from augury.fitting.likelihoods import (
    LIKELIHOODS,
    BetaBinomial,
    Binomial,
    Gaussian,
    Huber,
    Likelihood,
    Pinball,
)
from augury.fitting.many import ManyFits, Pooling, fit_many
from augury.fitting.profile_curve import Profile, profile
from augury.fitting.result import Fit, Status
from augury.fitting.single import fit
from augury.fitting.store import load, load_fit, save, save_fit

__all__ = [
    "LIKELIHOODS",
    "BetaBinomial",
    "Binomial",
    "Fit",
    "Gaussian",
    "Huber",
    "Likelihood",
    "ManyFits",
    "Pinball",
    "Pooling",
    "Profile",
    "Status",
    "fit",
    "fit_many",
    "load",
    "load_fit",
    "profile",
    "save",
    "save_fit",
]
