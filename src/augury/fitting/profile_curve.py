"""The profile of one parameter: how well the others can make up for it at each value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting.optimise import Prior, brief_solutions, objectives, solve
from augury.fitting.problem import problem_from
from augury.fitting.result import Fit
from augury.fitting.space import Floats

# Number of values tried over the range.
VALUES = 61
# The default range tried, in internal units: a factor of twenty either way.
REACH = 3.0
# The prior that holds the parameter is this many times as steep as the objective is high.
GRIP = 1e12


@dataclass(frozen=True)
class Profile(Shown):
    """A profile, as `profile` returns it.

    Attributes:
        name: of the parameter.
        values: (K,) values tried, increasing.
        rise: (K,) of minus the log-likelihood above its minimum, the other parameters refitted.
        interval: where the rise is below what `level` allows; NaN at an end beyond the values
            tried, where the data set no limit.
        level: of the interval.
    """

    name: str
    values: Floats
    rise: Floats
    interval: tuple[float, float]
    level: float

    def _card(self) -> Card:
        low, high = self.interval
        heading = f"Profile of {self.name}: {self.level:.0%} interval [{low:.4g}, {high:.4g}]"
        return Card(heading, pl.DataFrame({self.name: self.values, "rise": self.rise}))


def profile(
    fitted: Fit, name: str, *, between: tuple[float, float] | None = None, level: float = 0.9
) -> Profile:
    """Hold one parameter at many values and refit the others, to see what the data say about it.

    For parameters that are hardly identified, such as k of `skaling`: a Laplace interval assumes a
    parabola at the optimum, a profile follows the valley. Every row counts as one draw: if runs
    have several rows, use it as a picture and take the interval from the fit.

    Args:
        fitted: a fit.
        name: of one of its law's parameters.
        between: range tried; by default around the estimate, a factor of twenty either way for
            parameters on the log scale.
        level: of the interval.

    Returns:
        A `Profile`: (K,) values, the rise at each, the interval.

    Raises:
        UsageError: the law has no such parameter, or the fit is not usable.

    Source: profile likelihood (Venzon & Moolgavkar 1988), with the noise of the fit.
    """
    if name not in fitted.law.parameters:
        known = ", ".join(fitted.law.parameters)
        raise UsageError(f"law '{fitted.law}' has no parameter '{name}'; it has: {known}")
    if not fitted.usable:
        raise UsageError(f"the fit is {fitted.status}: there is nothing to profile")
    problem = problem_from(fitted.law, fitted.likelihood, fitted.data)
    law, likelihood, space = problem.law, problem.likelihood, problem.space
    j = space.names.index(name)
    u = space.internal(np.array(list(fitted.parameters.values())))
    if between is None:
        low, high = u[j] - REACH, u[j] + REACH
    else:
        low, high = (float(space.internal(np.full(len(u), x))[j]) for x in between)
    low, high = max(low, space.lower[j]), min(high, space.upper[j])
    tried = np.union1d(np.linspace(low, high, VALUES), u[j])
    count = len(tried)
    mean, precision = np.zeros((count, len(u))), np.zeros((count, len(u)))
    mean[:, j], precision[:, j] = tried, GRIP * max(fitted.objective, 1e-12)

    def cost(ends: Floats) -> Floats:
        return objectives(law, likelihood, ends, problem.points, problem.ones)

    best, least = np.repeat(u[None], count, 0), np.full(count, np.inf)
    best[:, j] = tried
    # Restart from each neighbour's end point until none helps: a valley is followed, not jumped
    # across.
    shifts = (0, 1, -1, 1, -1)
    brief = brief_solutions(count * len(shifts), problem.points)
    for shift in shifts:
        starts = np.roll(best, shift, 0)
        starts[:, j] = tried
        ends = solve(
            law, likelihood, starts, problem.points, problem.ones, Prior(mean, precision),
            rows=np.arange(count), brief=brief,
        ).u  # fmt: skip
        ends[:, j] = tried
        found = cost(ends)
        better = found < least
        best[better], least[better] = ends[better], found[better]
    spare = max(problem.run_count - len(law.parameters), 1)
    noise = likelihood.noise(fitted.objective, problem.size, len(law.parameters))
    rise = (least - least.min()) / noise
    from scipy.special import fdtri

    allowed = 0.5 * float(fdtri(1, spare, level))
    first, last = np.flatnonzero(rise <= allowed)[[0, -1]]
    ends_at = np.array(
        [
            _crossing(tried, rise, first - 1, first, allowed),
            _crossing(tried, rise, last + 1, last, allowed),
        ]
    )
    values, (start, stop) = (np.exp(x) if space.log[j] else x for x in (tried, ends_at))
    return Profile(name, values, rise, (float(start), float(stop)), level)


def _crossing(tried: Floats, rise: Floats, outside: int, inside: int, allowed: float) -> float:
    """Find where the rise crosses what is allowed, between two neighbours; NaN beyond the last."""
    if not 0 <= outside < len(tried):
        return float("nan")
    # The square root of a rise is nearly a straight line.
    near, far, goal = np.sqrt(np.maximum([rise[inside], rise[outside], allowed], 0.0))
    part = (goal - near) / (far - near)
    return float(tried[inside] + part * (tried[outside] - tried[inside]))
