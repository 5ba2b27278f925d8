"""The end of a run from its own beginning and from other runs, in one forecast.

Three parts, each a normal distribution of the log loss: the run's own curve; the other runs' law;
and, if that law takes tokens or FLOPs, the law shifted by how far off it already is on this run.
The parts are averaged by precision. Where they disagree by more than their spreads allow, a
variance between them is added to each, which also evens the weights: a part that is too sure of
itself cannot have it all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from augury.errors import UsageError
from augury.fitting.space import Floats
from augury.forecast.curves import CurveForecast
from augury.forecast.curves.one_curve import MOST_CUTS
from augury.forecast.curves.result import FREEDOM
from augury.forecast.prediction import Forecast, inputs_of, points_table, predictive

OWN, LADDER, SHIFTED = "own", "ladder", "shifted"
# Share of the parts' variance that they have in common. On the development half of
# benchmarks/runs_blended.py, 90 % intervals held 90 % without it, 95 % with .2 and with .35; the
# interval score was the same to 4 %.
SHARED = 0.2
# Spreads of the logarithm below this are equally good.
SMALL = 1e-4
# Inputs of a law that grow along a run.
GROWING = ("tokens", "flops")
# Points along the run at which the law is evaluated; it is interpolated in between.
GRID = 64
# The planned end and the point asked for may differ by this much: rounding.
SAME = 0.01


@dataclass(frozen=True)
class RunBlend:
    """The blended forecast of a run's end.

    Attributes:
        value: the loss, the parts' weighted mean on the log scale.
        spread: standard deviation of its logarithm.
        level: of the interval.
        weights: of "own" (the run's own curve), "ladder" (the other runs' law) and, if there is
            one, "shifted" (that law, shifted by this run's offset).
    """

    value: float
    spread: float
    level: float
    weights: Mapping[str, float]

    @property
    def interval(self) -> tuple[float, float]:
        """For the value measured there, at `level`."""
        reach = float(stats.norm.ppf(0.5 + self.level / 2)) * self.spread
        return self.value * float(np.exp(-reach)), self.value * float(np.exp(reach))

    def probability_below(self, threshold: float) -> float:
        """Return the probability that the value lies below a threshold."""
        return float(stats.norm.cdf(np.log(threshold / self.value) / self.spread))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"value": self.value, "interval": list(self.interval), "level": self.level,
                "weights": dict(self.weights)}  # fmt: skip


def blend_forecasts(
    own: CurveForecast, expected: Forecast, shifted: CurveForecast | None
) -> RunBlend | None:
    """Average the parts by precision; None if the other runs give no value or no interval.

    Source: random effects of DerSimonian & Laird 1986 (the variance between the parts); that the
    parts share some of their errors is ours.
    """
    ladder = _of_ladder(expected)
    if ladder is None:
        return None
    parts = {OWN: _of_curve(own), LADDER: ladder}
    if shifted is not None:
        parts[SHIFTED] = _of_curve(shifted)
    middle, spread = (np.array(x) for x in zip(*parts.values(), strict=True))
    variance = np.maximum(spread, SMALL) ** 2
    variance = variance + between(middle, variance)
    weights = 1.0 / variance / (1.0 / variance).sum()
    apart, together = weights**2 @ variance, (weights @ np.sqrt(variance)) ** 2
    return RunBlend(
        value=float(np.exp(weights @ middle)),
        spread=float(np.sqrt((1.0 - SHARED) * apart + SHARED * together)),
        level=own.level,
        weights=dict(zip(parts, map(float, weights), strict=True)),
    )


def between(middle: Floats, variance: Floats) -> float:
    """Return the variance between k forecasts that their (k,) own variances do not explain."""
    precision = 1.0 / variance
    mean = precision @ middle / precision.sum()
    more = precision @ (middle - mean) ** 2 - (len(middle) - 1)
    return max(float(more / (precision.sum() - (precision**2).sum() / precision.sum())), 0.0)


def _of_curve(found: CurveForecast) -> tuple[float, float]:
    """Return the middle and the spread of a curve's forecast on the log scale.

    The spread counts once per doubling ahead, and more where few cuts told it. Both factors were
    needed while curves had sharper weights. With those of now, blends without them score the same
    on the development half of benchmarks/runs_blended.py: .0062 and .0063 from the first half of a
    run, .0111 and .0110 from the first quarter.
    """
    low, high = np.log(found.interval)
    reach = float(stats.t.ppf(0.5 + found.level / 2, FREEDOM))
    doublings = max(float(np.log2(found.at[-1] / found.end)), 1.0)
    few = MOST_CUTS / found.cuts["cut"].n_unique()
    return float(np.log(found.value)), float(high - low) / 2 / reach * doublings * few


def _of_ladder(expected: Forecast) -> tuple[float, float] | None:
    """Return the same of what other runs predict for one new run; None if they do not say."""
    numbers = np.array([expected.value, *expected.run_interval])
    if not (np.isfinite(numbers).all() and (numbers > 0).all()):
        return None
    low, high = np.log(expected.run_interval)
    reach = float(stats.norm.ppf(0.5 + expected.level / 2))
    return float(np.log(expected.value)), float(high - low) / 2 / reach


def forecast_shifted(
    log: pl.DataFrame,
    own: CurveForecast,
    against: Any,
    planned: Mapping[str, float],
    forecast: Callable[[pl.DataFrame], CurveForecast],
) -> CurveForecast | None:
    """Forecast the law shifted by this run's offset; None if the law does not follow a run.

    Every loss of the log is carried to the run's end in the ratio by which the law falls until
    then; `forecast` takes the result as a curve, which shows how steady the offset is.

    Args:
        log: of the run so far: `own.x`, `own.y`, and tokens if it has them.
        own: the run's own forecast, whose last point is the end.
        against: a fit to other runs.
        planned: the inputs of that fit at the end.
        forecast: forecasts a log as `own` was.

    Raises:
        UsageError: the planned end is not the point that is forecast.
    """
    x, end = own.x, own.at[-1]
    if x in planned and abs(np.log(planned[x] / end)) > SAME:
        raise UsageError(
            f"planned {x}={planned[x]:.4g} is not where the run is forecast, {x}={end:.4g}"
        )
    grows = [name for name in GROWING if name in planned]
    if not grows or not set(GROWING) & set(inputs_of(against)):
        return None
    counted = "tokens" in planned and "tokens" in log.columns and not log["tokens"].null_count()
    along, whole = ("tokens", planned["tokens"]) if counted else (x, end)
    share = log[along].cast(pl.Float64).to_numpy() / whole
    grid = np.geomspace(share[share > 0].min(), 1.0, GRID)
    points = {name: np.full(GRID, float(at)) for name, at in planned.items()}
    points |= {name: float(planned[name]) * grid for name in grows}
    falls = predictive(against, points_table(points)).value
    if not (np.isfinite(falls).all() and (falls > 0).all()):
        return None
    here = np.exp(np.interp(np.log(np.maximum(share, grid[0])), np.log(grid), np.log(falls)))
    return forecast(log.with_columns(pl.col(own.y) * falls[-1] / pl.Series(here)))
