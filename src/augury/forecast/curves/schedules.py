"""A run from its beginning under the learning rates still to come.

A curve in its constant phase cannot know that the learning rate will fall, nor how much loss that
releases. The momentum law does: in proportion to the decreases (`lr_drop`). So what was released so
far is added back, the curve over `lr_sum` is forecast like any other, and what will be released by
then is subtracted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.fitting import Gaussian
from augury.forecast.curves.cuts import fit_cuts
from augury.forecast.curves.one_curve import forecast_curve
from augury.forecast.curves.result import CurveForecast
from augury.laws import Law, Momentum, with_schedule
from augury.laws.schedules import MEMORY
from augury.notes import Note

# Loss released by the decay of the whole learning rate, nats, and its standard deviation: fits of
# nine schedules at each of 25M, 100M and 400M parameters (Luo et al. 2025) give .12, .14 and .17.
RELEASE, RELEASE_SPREAD = 0.135, 0.045


def forecast_scheduled(
    log: pl.DataFrame | Mapping[str, Any],
    schedule: pl.DataFrame | Mapping[str, Any],
    at: float | Sequence[float] | None = None,
    *,
    y: str = "loss",
    laws: Sequence[Law | str] | None = None,
    level: float = 0.9,
) -> CurveForecast:
    """Forecast a run under its learning-rate schedule.

    Args:
        log: of the run so far: `step` and `y`. Leave out the warm-up.
        schedule: `step` and `lr` of the whole run, from its first step to its last; interpolated in
            between.
        at: steps beyond the log; by default the schedule's last.
        y: what is forecast, in nats per token.
        laws: candidates over `lr_sum`, as in `forecast_curve`.
        level: of the intervals.

    Returns:
        A `CurveForecast` over steps; its parts are laws of `lr_sum`, and `release` is the loss
        released per decrease.

    Raises:
        DataError: a column is missing, a value cannot be used, or the log has too few steps.
        UsageError: a step does not lie beyond the log, or lies beyond the schedule.

    Source: momentum law, Tissue et al. 2024 (arXiv 2408.11029); the rest is ours. A run that has
    not decayed yet does not show what a decay releases: then a prior is used, .135 +- .045 nats for
    all of the learning rate, from our fits to the runs of Luo et al. 2025 (arXiv 2503.12811).

    Examples:
        >>> step = [250 * k for k in range(4, 80)]
        >>> log = {"step": step, "loss": [2.5 + 0.9 / (2e-4 * s) ** 0.5 for s in step]}
        >>> schedule = {"step": [0, 500, 20000, 24000], "lr": [0, 2e-4, 2e-4, 0]}
        >>> constant = schedule | {"lr": [0, 2e-4, 2e-4, 2e-4]}
        >>> forecast_scheduled(log, schedule).value < forecast_scheduled(log, constant).value
        True
    """
    rows = log if isinstance(log, pl.DataFrame) else pl.DataFrame(dict(log), strict=False)
    plan = (
        schedule
        if isinstance(schedule, pl.DataFrame)
        else pl.DataFrame(dict(schedule), strict=False)
    )
    for name, table in (("step", rows), (y, rows), ("step", plan), ("lr", plan)):
        if name not in table.columns:
            wanted = f"step and {y} in the log, step and lr in the schedule"
            raise DataError("the column is missing", column=name, expected=wanted)
    last = float(plan["step"].cast(pl.Float64).max())  # type: ignore[arg-type]
    steps = np.sort(np.atleast_1d(np.asarray(last if at is None else at, float)))
    end = float(rows["step"].cast(pl.Float64).max())  # type: ignore[arg-type]
    if steps[0] <= end or steps[-1] > last:
        raise UsageError(
            f"steps to forecast must lie beyond {end:g}, where the log ends, and not beyond "
            f"{last:g}, where the schedule ends"
        )
    past = with_schedule(rows.select("step", y).filter(pl.col("step") > 0), plan)
    ahead = with_schedule(pl.DataFrame({"step": steps}), plan)
    peak = float(plan["lr"].cast(pl.Float64).max())  # type: ignore[arg-type]
    release, spread = _release(past, y, peak / (1.0 - MEMORY))
    added = past.select("lr_sum", (pl.col(y) + release * pl.col("lr_drop")).alias(y))
    found = forecast_curve(
        added, ahead["lr_sum"].to_list(), x="lr_sum", y=y, laws=laws, level=level
    )
    drop = ahead["lr_drop"].to_numpy()
    values = np.array(found.values) - release * drop
    more = np.abs(drop - float(past.sort("step")["lr_drop"][-1])) * spread
    spreads = np.sqrt(np.array(found.spreads) ** 2 + (more / values) ** 2)
    return replace(
        found,
        x="step",
        at=tuple(map(float, steps)),
        values=tuple(map(float, values)),
        spreads=tuple(map(float, spreads)),
        end=end,
        release=release,
        notes=(*found.notes, *_notes(past, release)),
    )


def _release(past: pl.DataFrame, y: str, full: float) -> tuple[float, float]:
    """Return the loss released per decrease, and its error.

    Args:
        past: with `lr_sum` and `lr_drop`.
        full: `lr_drop` after a full decay of the learning rate.
    """
    mean, spread = RELEASE / full, RELEASE_SPREAD / full
    law = Momentum()
    inputs = {name: past[name].to_numpy() for name in law.inputs}
    ones = np.ones((1, past.height))
    losses = past[y].cast(pl.Float64).to_numpy()
    fitted = fit_cuts(law, inputs, losses, ones, Gaussian("log"), {"C": (mean, spread)})
    # Even if a smooth decay seems to determine it: the fits above were off by this much too.
    return float(fitted.parameters[0, list(law.parameters).index("C")]), spread


def _notes(past: pl.DataFrame, release: float) -> tuple[Note, ...]:
    if float(past["lr_drop"].abs().max()) > 0:  # type: ignore[arg-type]
        return ()
    return (
        Note(
            "release-from-prior",
            "warning",
            "The learning rate has not decayed yet: how much loss its decay will release comes "
            "from other runs.",
            {"release": release},
        ),
    )
