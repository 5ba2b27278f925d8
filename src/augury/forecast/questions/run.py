"""A run in progress: where it will end under a schedule, and whether that is on track.

The run's own beginning tells more about its end than smaller runs do; a fit to those tells what was
expected, and whether the run keeps to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.display import Card
from augury.errors import DataError, UsageError
from augury.forecast.curves import CurveForecast, forecast_curve, forecast_scheduled
from augury.forecast.prediction import Forecast, known, predict
from augury.forecast.questions.answers import Answer, AnswerStatus

ALONG = ("tokens", "step", "steps", "flops")


@dataclass(frozen=True)
class RunOutlook(Answer):
    """The end of a run, forecast from its beginning.

    Attributes:
        forecast: of the loss, at the last point asked for.
        log: of the run so far: the columns of `forecast.x` and `forecast.y`.
        expected: what a fit to other runs predicted for this one; None if none was given.
        target: the loss to reach; None if none was given.
    """

    forecast: CurveForecast
    log: pl.DataFrame
    expected: Forecast | None
    target: float | None

    @property
    def on_track(self) -> bool | None:
        """Whether the forecast is no worse than expected, and reaches the target.

        No worse means not above the new-run interval of what was expected. None without a target
        and without a fit that gives such an interval.
        """
        marks = [] if self.target is None else [self.target]
        if self.expected is not None and not np.isnan(self.expected.run_interval[1]):
            marks.append(self.expected.run_interval[1])
        return bool(self.forecast.value <= min(marks)) if marks else None

    @property
    def probability_on_target(self) -> float | None:
        """Probability that the loss measured there lies below the target."""
        return None if self.target is None else self.forecast.probability_below(self.target)

    def _card(self) -> Card:
        low, high = self.forecast.interval
        rows = [{"what": "forecast from the run itself", "value": self.forecast.value,
                 "low": low, "high": high}]  # fmt: skip
        if self.expected is not None:
            own, (low, high) = self.expected, self.expected.run_interval
            rows.append({"what": "expected from other runs", "value": own.value,
                         "low": low, "high": high})  # fmt: skip
        if self.target is not None:
            rows.append({"what": "target", "value": self.target, "low": None, "high": None})
        return Card(self._headline(), pl.DataFrame(rows), self.notes)

    def _headline(self) -> str:
        f = self.forecast
        (low, high), place = f.interval, f"{f.x}={f.at[-1]:.4g}"
        return f"At {place}: {f.y} {f.value:.4g} [{low:.4g}, {high:.4g}] ({f.level:.0%} interval)"

    def __str__(self) -> str:
        lines = [self._headline()]
        if self.expected is not None:
            low, high = self.expected.run_interval
            lines.append(
                f"  expected from other runs: {self.expected.value:.4g} [{low:.4g}, {high:.4g}]"
            )
        if self.target is not None:
            lines.append(
                f"  target {self.target:.4g}: reached with probability "
                f"{self.probability_on_target:.0%}"
            )
        if self.on_track is not None:
            lines.append(f"  {'on track' if self.on_track else 'NOT on track'}")
        weights = sorted(self.forecast.weights.items(), key=lambda pair: -pair[1])
        told = ", ".join(f"{name} {weight:.0%}" for name, weight in weights if weight >= 0.01)
        lines.append(f"  laws: {told}")
        return "\n".join([*lines, *(f"  {n.severity}: {n.message}" for n in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        own = self.forecast.to_dict()
        expected = None
        if self.expected is not None:
            interval = [known(x) for x in self.expected.run_interval]
            expected = {"value": known(self.expected.value), "interval": interval,
                        "level": self.expected.level}  # fmt: skip
        return {
            **{name: own[name] for name in ("final", "law", "weights", "points", "x", "y", "end")},
            "on_track": self.on_track,
            "expected": expected,
            "target": self.target,
            "probability_on_target": self.probability_on_target,
            **self.about(),
        }


def forecast_run(
    log: pl.DataFrame,
    schedule: pl.DataFrame | None = None,
    *,
    at: float | Sequence[float] | None = None,
    against: Any = None,
    planned: Mapping[str, float] | None = None,
    target: float | None = None,
    y: str = "loss",
    level: float = 0.9,
) -> RunOutlook:
    """Forecast the end of a run in progress.

    Args:
        log: of the run so far: tokens, step or flops, and `y`; `lr` if it was logged.
        schedule: `step` and `lr` from here to the end (or of the whole run): the planned decay, or
            an alternative. The log's past is put before it.
        at: where to forecast: tokens, steps or FLOPs; by default the schedule's last step.
        against: a fit to other runs (a `Fit`, a `ChainFit`, a `Combination`) that tells what was
            expected.
        planned: the inputs of that fit at the run's end, such as params and tokens.
        target: a loss to reach.
        y: what is forecast.
        level: of the intervals.

    Returns:
        A `RunOutlook`: the forecast with its interval, what was expected, and whether the run is on
        track.

    Raises:
        DataError: a column is missing or a value cannot be used; the log is too short.
        UsageError: the end of the run is unknown, or a point is not beyond the log.

    Source: that of `forecast_curve` and `forecast_scheduled`.

    Examples:
        >>> import polars as pl
        >>> step = [50 * (k + 10) for k in range(60)]
        >>> log = pl.DataFrame({"step": step, "loss": [2.5 + 12.7 / s**0.5 for s in step]})
        >>> found = augury.forecast_run(log, at=7000, target=2.8)
        >>> found.on_track
        True
    """
    if schedule is None and at is None:
        raise UsageError(
            "the end of the run is unknown: give a schedule, or a point beyond the log"
        )
    if (against is None) != (planned is None):
        raise UsageError(
            "a fit to compare the run with needs the run's inputs (planned), and vice versa"
        )
    found: CurveForecast
    if schedule is not None:
        found = forecast_scheduled(log, _whole_schedule(log, schedule), at, y=y, level=level)
    else:
        x = next((name for name in ALONG if name in log.columns), None)
        if x is None:
            there = ", ".join(log.columns)
            raise DataError(f"the log has none of {', '.join(ALONG)}", expected=f"one, not {there}")
        found = forecast_curve(log, at, x=x, y=y, level=level)  # type: ignore[arg-type] # is given
    expected = None
    if against is not None:
        (expected,) = predict(against, planned, level=level)  # type: ignore[arg-type] # is given
    far = any(note.code == "far" for note in found.notes)
    return RunOutlook(
        level=level,
        status=AnswerStatus.FAR if far else AnswerStatus.ANSWERED,
        notes=found.notes,
        seed=0,
        forecast=found,
        log=log.select(found.x, y),
        expected=expected,
        target=target,
    )


def _whole_schedule(log: pl.DataFrame, schedule: pl.DataFrame) -> pl.DataFrame:
    """Return the schedule, preceded by the learning rates that were logged before it."""
    if not {"step", "lr"} <= set(log.columns) or not {"step", "lr"} <= set(schedule.columns):
        return schedule
    numbers = [pl.col(name).cast(pl.Float64) for name in ("step", "lr")]
    past, plan = log.select(numbers).drop_nulls(), schedule.select(numbers)
    end = past["step"].max()
    return pl.concat([past, plan.filter(pl.col("step") > end)]).sort("step")
