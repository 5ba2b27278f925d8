"""The value of training mixtures in parameters, from a joint fit of their runs."""

from __future__ import annotations

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.fitting import Fit
from augury.forecast.prediction import interval_of
from augury.laws import EffectiveParams, Grouped


def effective_fractions(fitted: Fit, reference: str, *, level: float = 0.9) -> pl.DataFrame:
    """Return effective parameters over parameters of every mixture: (A_ref / A_m)^(1/alpha).

    Args:
        fitted: of `effective-params`.
        reference: the mixture whose models have the value 1, such as the task alone.
        level: of the intervals, from the fit's draws.

    Returns:
        One row per mixture: `mixture`, `value` (1 for the reference), `low`, `high`. A model of N
        parameters trained on the mixture is as good at the task as one of `value` N trained on the
        reference.

    Raises:
        UsageError: the fit is of another law, cannot be used, or has no such mixture.

    Source: Fernandes et al. 2023 (arXiv 2302.09650), section 4.
    """
    law = fitted.law
    if not (isinstance(law, Grouped) and isinstance(law.law, EffectiveParams)):
        raise UsageError(f"effective fractions need a fit of 'effective-params', not of '{law}'")
    if not fitted.usable:
        raise UsageError(f"the fit is {fitted.status}: {fitted.status.remedy}")
    if reference not in law.groups:
        raise UsageError(f"no mixture is called '{reference}'; there are: {', '.join(law.groups)}")
    names = list(fitted.parameters)
    best = np.array([fitted.parameters[n] for n in names])
    both = np.concatenate([best[None], fitted.draws.reshape(-1, len(names))])
    alpha = both[:, names.index("alpha")]
    own = np.stack([both[:, names.index(f"A[{m}]")] for m in law.groups], 1)
    at = own[:, law.groups.index(reference)]
    worth = (at[:, None] / own) ** (1.0 / alpha[:, None])
    low, high = interval_of(worth[1:], worth[0], (1.0 - level) / 2.0)
    return pl.DataFrame({"mixture": law.groups, "value": worth[0], "low": low, "high": high})
