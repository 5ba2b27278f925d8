"""Likelihoods: one per file, each owning everything specific to it."""

from __future__ import annotations

from collections.abc import Mapping

from augury.errors import UsageError
from augury.fitting.likelihoods.base import Likelihood, Points, Terms
from augury.fitting.likelihoods.beta_binomial import BetaBinomial
from augury.fitting.likelihoods.binomial import Binomial
from augury.fitting.likelihoods.gaussian import Gaussian
from augury.fitting.likelihoods.huber import Huber
from augury.fitting.likelihoods.pinball import Pinball
from augury.laws import Law

__all__ = [
    "LIKELIHOODS",
    "BetaBinomial",
    "Binomial",
    "Gaussian",
    "Huber",
    "Likelihood",
    "Pinball",
    "Points",
    "Terms",
    "likelihood_for",
]

LIKELIHOODS: Mapping[str, type[Likelihood]] = {
    cls.name: cls for cls in (Huber, Gaussian, Binomial, BetaBinomial, Pinball)
}


def likelihood_for(law: Law, wanted: Likelihood | str | None, *, suited: str) -> Likelihood:
    """Return the likelihood a user named, or the default for what the law predicts.

    Losses: Huber on logarithms. Scores: what `augury.data.scores.suited_likelihood` returns for
    them.

    Raises:
        UsageError: no likelihood has that name.
    """
    if isinstance(wanted, Likelihood):
        return wanted
    if wanted is None:
        wanted = suited if law.output == "value" else "huber"
    if wanted == "log-gaussian":
        return Gaussian("log")
    if wanted not in LIKELIHOODS:
        raise UsageError(f"no likelihood is called '{wanted}'; there are: {', '.join(LIKELIHOODS)}")
    return LIKELIHOODS[wanted].suited_to(law.output)
