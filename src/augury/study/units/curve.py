"""Where laws are evaluated: the points of interest, and a grid that draws a smooth curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations
from augury.laws import Chain, Law

# Number of points of a drawn curve: smooth on paper, and few to embed.
CURVE_POINTS = 60
# How far beyond the farthest point of interest a curve is drawn, as a factor.
MARGIN = 1.15


def required_inputs(*laws: Law | Chain) -> list[str]:
    """Return the inputs that a forecast needs: those without a default."""
    names: dict[str, None] = {}
    for law in laws:
        first = law.loss if isinstance(law, Chain) else law
        names |= {n: None for n in first.inputs if n not in law.defaults}
    return list(names)


def places_for(asked: Mapping[str, Any], *laws: Law | Chain) -> pl.DataFrame:
    """Return the points that have all inputs of the laws; other columns are kept."""
    table = observations(asked["points"]) if asked["points"] else pl.DataFrame()
    wanted = [name for name in required_inputs(*laws) if name in table.columns]
    if len(wanted) < len(required_inputs(*laws)):
        return table.clear()
    return table.drop_nulls(wanted)


def curve_grid(table: pl.DataFrame, points: pl.DataFrame, *laws: Law | Chain) -> pl.DataFrame:
    """Return points of a curve along params (or the laws' first input), other inputs fixed."""
    names = required_inputs(*laws)
    along = "params" if "params" in names else names[0]
    ends = [*table[along].drop_nulls(), *(points[along] if points.height else ())]
    grid = {along: np.geomspace(min(ends) / MARGIN, max(ends) * MARGIN, CURVE_POINTS)}
    for name in names:
        if name != along:
            last = points[name][-1] if points.height else table[name][-1]
            grid[name] = np.full(CURVE_POINTS, float(last))
    return observations(grid)


def curve_table(forecasts: Sequence[Any]) -> pl.DataFrame:
    """Return forecasts as rows: inputs, value, both intervals and the extrapolation."""
    return pl.DataFrame(
        [
            {
                **f.inputs,
                "value": f.value,
                "mean_low": f.mean_interval[0],
                "mean_high": f.mean_interval[1],
                "run_low": f.run_interval[0],
                "run_high": f.run_interval[1],
                "extrapolation": f.extrapolation,
            }
            for f in forecasts
        ]
    )
