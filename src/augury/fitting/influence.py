"""How far every single point moves a fit."""

from __future__ import annotations

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.fitting.diagnose import leave_one_out
from augury.fitting.problem import problem_from
from augury.fitting.result import Fit


def influence_of(fitted: Fit) -> pl.DataFrame:
    """Refit without each point, and report which parameter it moves most and by how much.

    Args:
        fitted: a fit that converged. Of more than 512 points, only those farthest off the law are
        refitted.

    Returns:
        run, the law's inputs, y, `parameter` (the one moved most) and `moves` (its change when the
        point is left out, in standard errors), in the order of `fitted.data`.

    Raises:
        UsageError: the fit is not usable, or has hardly more points than parameters.
    """
    names = list(fitted.law.parameters)
    if not fitted.usable:
        raise UsageError(f"the fit is {fitted.status}: no point can be left out")
    if fitted.n <= len(names) + 1:
        raise UsageError(
            f"{fitted.n} points are too few to leave one out: the law has {len(names)} parameters"
        )
    problem = problem_from(fitted.law, fitted.likelihood, fitted.data)
    u = problem.space.internal(np.array(list(fitted.parameters.values())))
    live, _, _, moves = leave_one_out(problem, u, problem.ones)
    most = np.abs(np.nan_to_num(moves)).argmax(1)
    order = np.argsort(live)
    data = fitted.data.select(pl.col("run").cast(pl.String), pl.all().exclude("run"))[live[order]]
    return data.with_columns(
        parameter=pl.Series([names[j] for j in most[order]]),
        moves=pl.Series(moves[np.arange(len(live)), most][order]),
    )
