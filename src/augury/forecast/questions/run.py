"""A run in progress: where it will end under a schedule, and whether that is on track.

The run's own beginning tells where its curve leads, a fit to other runs what was expected. The
blend of both came nearer to the end than either on development runs, and near the better one on
others (docs/curves.md); the two alone tell if the run keeps to what was expected.
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
from augury.forecast.questions.run_blend import RunBlend, blend_forecasts, forecast_shifted
from augury.laws import BrokenPowerLaw
from augury.notes import Note

ALONG = ("tokens", "step", "steps", "flops")
# What the parts of a blend are called.
PARTS = {"own": "the run itself", "ladder": "other runs", "shifted": "other runs, shifted"}
NOT_BLENDED = Note(
    "not-blended",
    "warning",
    "The fit to other runs gives no interval for this run: the forecast is from the run alone.",
)


@dataclass(frozen=True)
class RunOutlook(Answer):
    """The end of a run, forecast from its beginning, and from other runs if there is a fit to them.

    Attributes:
        forecast: of the loss, at the last point asked for, from the run alone.
        log: of the run so far: the columns of `forecast.x` and `forecast.y`.
        expected: what a fit to other runs predicted for this one; None if none was given.
        target: the loss to reach; None if none was given.
        blended: the forecast from both; None without a fit, or if it gives no interval.
    """

    forecast: CurveForecast
    log: pl.DataFrame
    expected: Forecast | None
    target: float | None
    blended: RunBlend | None = None

    @property
    def best(self) -> RunBlend | CurveForecast:
        """The blended forecast, or the run's own where there is none."""
        return self.forecast if self.blended is None else self.blended

    @property
    def on_track(self) -> bool | None:
        """Whether the run is no worse than expected, and its forecast reaches the target.

        No worse means that its own forecast is not above the new-run interval of what was expected:
        the blend contains what was expected, and cannot be held against it. The target is compared
        with the blend, if there is one. None without a target and without a fit that gives such an
        interval.
        """
        marks = [] if self.target is None else [self.best.value <= self.target]
        if self.expected is not None and not np.isnan(self.expected.run_interval[1]):
            marks.append(self.forecast.value <= self.expected.run_interval[1])
        return bool(all(marks)) if marks else None

    @property
    def probability_on_target(self) -> float | None:
        """Probability that the loss measured there lies below the target, by the best forecast."""
        return None if self.target is None else self.best.probability_below(self.target)

    def _card(self) -> Card:
        rows = []
        if self.blended is not None:
            low, high = self.blended.interval
            rows.append({"what": "forecast", "value": self.blended.value, "low": low, "high": high})
        low, high = self.forecast.interval
        rows.append({"what": "forecast from the run itself", "value": self.forecast.value,
                     "low": low, "high": high})  # fmt: skip
        if self.expected is not None:
            own, (low, high) = self.expected, self.expected.run_interval
            rows.append({"what": "expected from other runs", "value": own.value,
                         "low": low, "high": high})  # fmt: skip
        if self.target is not None:
            rows.append({"what": "target", "value": self.target, "low": None, "high": None})
        return Card(self._headline(), pl.DataFrame(rows), self.notes)

    def _headline(self) -> str:
        f, best = self.forecast, self.best
        (low, high), place = best.interval, f"{f.x}={f.at[-1]:.4g}"
        return (
            f"At {place}: {f.y} {best.value:.4g} [{low:.4g}, {high:.4g}] ({f.level:.0%} interval)"
        )

    def __str__(self) -> str:
        lines = [self._headline()]
        if self.blended is not None:
            low, high = self.forecast.interval
            told = ", ".join(f"{PARTS[n]} {w:.0%}" for n, w in self.blended.weights.items())
            lines.append(f"  blended of: {told}")
            lines.append(
                f"  from the run itself: {self.forecast.value:.4g} [{low:.4g}, {high:.4g}]"
            )
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
            "blended": None if self.blended is None else self.blended.to_dict(),
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
            expected; it is blended with the run's own forecast.
        planned: the inputs of that fit at the run's end (the last point forecast), such as params
            and tokens. Tokens are taken to grow with steps, if the log does not count them.
        target: a loss to reach.
        y: what is forecast.
        level: of the intervals.

    Returns:
        A `RunOutlook`: the forecast with its interval, what was expected, both blended, and whether
        the run is on track.

    Raises:
        DataError: a column is missing or a value cannot be used; the log is too short.
        UsageError: the end of the run is unknown, a point is not beyond the log, or the planned end
            is another one.

    Source: that of `forecast_curve`, `forecast_scheduled` and `blend_forecasts`.

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
    plan = None if schedule is None else _whole_schedule(log, schedule)
    x = "step" if plan is not None else next((n for n in ALONG if n in log.columns), None)
    if x is None:
        there = ", ".join(log.columns)
        raise DataError(f"the log has none of {', '.join(ALONG)}", expected=f"one, not {there}")

    def forecast(rows: pl.DataFrame, at: Any, over: Any = None) -> CurveForecast:
        laws = None if over is None else [over]
        if plan is not None:
            return forecast_scheduled(rows, plan, at, y=y, laws=laws, level=level)
        return forecast_curve(rows, at, x=x, y=y, laws=laws, level=level)

    found = forecast(log, at)
    expected, blended, notes = None, None, found.notes
    if against is not None:
        (expected,) = predict(against, planned, level=level)  # type: ignore[arg-type] # is given
        law = BrokenPowerLaw("lr_sum" if plan is not None else x)
        shifted = forecast_shifted(
            log, found, against, planned or {}, lambda rows: forecast(rows, found.at[-1], law)
        )
        blended = blend_forecasts(found, expected, shifted)
        notes = notes if blended is not None else (*notes, NOT_BLENDED)
    far = any(note.code == "far" for note in found.notes)
    return RunOutlook(
        level=level,
        status=AnswerStatus.FAR if far else AnswerStatus.ANSWERED,
        notes=notes,
        seed=0,
        forecast=found,
        log=log.select(found.x, y),
        expected=expected,
        target=target,
        blended=blended,
    )


def _whole_schedule(log: pl.DataFrame, schedule: pl.DataFrame) -> pl.DataFrame:
    """Return the schedule, preceded by the learning rates that were logged before it."""
    if not {"step", "lr"} <= set(log.columns) or not {"step", "lr"} <= set(schedule.columns):
        return schedule
    numbers = [pl.col(name).cast(pl.Float64) for name in ("step", "lr")]
    past, plan = log.select(numbers).drop_nulls(), schedule.select(numbers)
    end = past["step"].max()
    return pl.concat([past, plan.filter(pl.col("step") > end)]).sort("step")
