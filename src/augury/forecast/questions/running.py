"""A run that is under way: its last loss under a schedule, and whether it is on track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.display import Card
from augury.errors import DataError, UsageError
from augury.forecast.curves import CurveForecast, forecast_curve
from augury.forecast.prediction import known
from augury.forecast.questions.answers import FAR, Answer, AnswerStatus, Estimate
from augury.laws import with_schedule
from augury.notes import Note

# With learning rates only the momentum law sees what a decay will do; without, curves of the step.
BY_RATE, BY_STEP = ("momentum",), ("power:over=step", "broken-power:over=step,breaks=1")
POINTS = 60
# Decreases of the learning rate so far, as a part of those to come, below which the log does not
# tell what a decay is worth.
SEEN = 0.1


@dataclass(frozen=True)
class RunForecast(Answer):
    """Where a run under way will end.

    Attributes:
        final: loss at the last step of the schedule; the interval is for one evaluation there.
        law: the candidate of the largest weight; `weights` has those of all.
        step, end: the last step asked for, and the last of the log.
        expected: what a ladder said of the end; None where nothing was given.
        on_track: whether the end is likely no higher than the top of that interval; None likewise.
        probability_on_track: of that.
        curve: rows of step, loss, low, high: the forecast from the end of the log on.
        log: rows of step, loss (and lr): what was fitted.
    """

    final: Estimate
    law: str
    weights: dict[str, float]
    step: int
    end: int
    expected: Estimate | None
    on_track: bool | None
    probability_on_track: float | None
    curve: pl.DataFrame
    log: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "final": {**self.final.to_dict(), "level": self.level},
            "law": self.law,
            "on_track": self.on_track,
            "probability_on_track": self.probability_on_track,
            "expected": None if self.expected is None else self.expected.to_dict(),
            "weights": {n: known(w) for n, w in self.weights.items()},
            "step": self.step,
            "end": self.end,
            **self.about(),
        }

    def _card(self) -> Card:
        return Card(self._heading(), self.curve, self.notes)

    def _heading(self) -> str:
        return (
            f"Loss at step {self.step:,} from the first {self.end:,} by {self.law}: {self.status}"
        )

    def __repr__(self) -> str:
        return f"<RunForecast final={self.final.value:.4g} at step {self.step}>"

    def __str__(self) -> str:
        lines = [self._heading(), f"  final loss {self.final}   {self.level:.0%}"]
        if self.expected is not None and self.on_track is not None:
            word = "on track" if self.on_track else "not on track"
            lines.append(
                f"  {word}: expected {self.expected}; no higher than that with a probability of "
                f"{self.probability_on_track:.0%}"
            )
        return "\n".join([*lines, *(f"  {n.severity}: {n.message}" for n in self.notes)])


def forecast_run(
    log: pl.DataFrame,
    schedule: pl.DataFrame | None = None,
    *,
    step: int | None = None,
    expected: tuple[float, float, float] | None = None,
    level: float = 0.9,
) -> RunForecast:
    """Forecast the end of a run from its log so far.

    Args:
        log: of one run so far: step, loss, and lr where it was logged.
        schedule: step and lr of the whole run, or of what is to come.
        step: the last step; by default the schedule's.
        expected: value, low and high that a ladder forecast for the end.
        level: of the interval.

    Returns:
        A `RunForecast`.

    Raises:
        DataError: a column is missing, or the log is too short.
        UsageError: the last step does not lie beyond the log, or is not known.

    Source: Tissue et al. 2024 (arXiv 2408.11029) for the law of the learning rate; the interval is
    that of `forecast_curve`.
    """
    for name in ("step", "loss"):
        if name not in log.columns:
            raise DataError("the column is missing", column=name, expected="the log of one run")
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    own = log.drop_nulls(["step", "loss"]).sort("step").unique("step", keep="last").sort("step")
    if own.height < 2:
        raise DataError(f"the log has {own.height} rows", expected="a run that is under way")
    end = int(own["step"][-1])
    if step is None:
        if schedule is None or "step" not in schedule.columns or schedule.is_empty():
            raise UsageError("give a schedule or the last step: neither says where the run ends")
        step = int(schedule["step"].max())  # type: ignore[arg-type]
    if step <= end:
        raise UsageError(f"the run ends at step {step:,}, which the log has reached ({end:,})")
    ahead = pl.DataFrame({"step": np.unique(np.geomspace(end + 1, step, POINTS).astype(int))})
    rates = _rates(own, schedule, end)
    notes = []
    laws: tuple[str, ...] = BY_STEP
    if rates is not None:
        own, ahead = with_schedule(own, rates), with_schedule(ahead, rates)
        warm = int(rates.sort("lr", "step", descending=[True, False])["step"][0])
        own = own.filter(pl.col("step") >= min(warm, end // 4))  # the warm-up is not in the law
        laws = BY_RATE
        total = float(ahead["lr_drop"].max())  # type: ignore[arg-type]
        so_far = float(own["lr_drop"].max())  # type: ignore[arg-type]
        if total > 0 and so_far < SEEN * total:
            said = (
                "The log has hardly any decrease of the learning rate, the schedule has: what the "
                "decay releases is not in the log, and the end will be lower: there is no interval."
            )
            notes.append(Note("decay-unseen", "warning", said, {"part": so_far / total}))
    else:
        notes.append(
            Note("no-schedule", "warning", "Without learning rates a decay ahead is not forecast.")
        )
    with np.errstate(
        invalid="ignore"
    ):  # a law below 0 at an early cut has no logarithm, nor weight
        found: CurveForecast = forecast_curve(own, ahead, x="step", laws=laws, level=level)
    notes += list(found.notes)
    unseen = any(n.code == "decay-unseen" for n in notes)
    low, high = (np.nan, np.nan) if unseen else found.interval
    span = np.log(step / end) / np.log(end / max(int(own["step"][0]), 1))
    track = None if expected is None or unseen else found.probability_below(expected[2])
    return RunForecast(
        level=level,
        status=_status(unseen=unseen, span=float(span)),
        notes=tuple(notes),
        seed=0,
        final=Estimate(found.value, (low, high)),
        law=found.law,
        weights=dict(found.weights),
        step=step,
        end=end,
        expected=None if expected is None else Estimate(expected[0], (expected[1], expected[2])),
        on_track=None if track is None else track >= 0.5,
        probability_on_track=track,
        curve=pl.DataFrame({
            "step": [int(x) for x in found.at], "loss": list(found.values),
            "low": [x[0] for x in found.intervals], "high": [x[1] for x in found.intervals],
        }),
        log=own.select([c for c in ("step", "loss", "lr") if c in own.columns]),
    )  # fmt: skip


def _status(*, unseen: bool, span: float) -> AnswerStatus:
    """How it ended: the end may be as far, in logarithms of steps, as the log is long."""
    if unseen:
        return AnswerStatus.OPEN
    return AnswerStatus.FAR if span > FAR else AnswerStatus.ANSWERED


def _rates(log: pl.DataFrame, schedule: pl.DataFrame | None, end: int) -> pl.DataFrame | None:
    """Learning rates of the whole run: those logged, then those to come; None without any."""
    parts = []
    if "lr" in log.columns:
        parts.append(log.select(pl.col("step").cast(pl.Int64), pl.col("lr").cast(pl.Float64)))
    if schedule is not None:
        for name in ("step", "lr"):
            if name not in schedule.columns:
                raise DataError("the column is missing", column=name,
                                expected="a schedule: step and lr")  # fmt: skip
        rest = schedule.select(pl.col("step").cast(pl.Int64), pl.col("lr").cast(pl.Float64))
        parts.append(rest.filter(pl.col("step") > end) if parts else rest)
    if not parts or (schedule is None and len(parts) == 1):
        return None  # rates so far say nothing of those to come
    return pl.concat(parts).drop_nulls().unique("step", keep="first").sort("step")
