"""Forecast larger models from smaller ones without choosing a law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.data import observations, run_ids
from augury.data.scores import add_value, at_chance, check_one_metric
from augury.display import Card, Several, Shown
from augury.errors import DataError, UsageError
from augury.fitting.space import Floats
from augury.forecast.ahead.average import Averaged, Kind, average_ahead
from augury.forecast.ahead.line import Ladder
from augury.forecast.links import ARCSINE, LOG
from augury.forecast.prediction import (
    At,
    extrapolation,
    known,
    points_table,
    run_share,
    run_share_text,
)
from augury.forecast.wordings import (
    PROMPT,
    WordingForecast,
    notes_of,
    over_wordings,
    wording_forecasts,
    wordings_in,
)
from augury.notes import Note

# Scales along which a ladder grows: the first that is present and varies.
ALONG = ("flops", "tokens", "params")
PLANE = ("params", "tokens")
# Columns that distinguish measured models.
MODEL = ("task", "model", "family", "run", "seed", "step", PROMPT)
# A line takes this many more points than it has parameters, and this many different scales.
SPARE, FEWEST_SCALES = 2, 3


@dataclass(frozen=True)
class AheadForecast(Shown):
    """The average of simple forecasts at one point.

    Attributes:
        task: the task scored; None if the table names none.
        at: the point.
        value: median forecast.
        interval: for one new model at `level`.
        mean_interval: for the mean of many models of that scale.
        run_share: share of the squared width of `interval` that is spread between models of one
            scale, gone in `mean_interval`: no forecast can remove it.
        extrapolation: distance from the data in units of their range (logarithms).
        level: of both intervals.
        models: number of points it is based on.
        notes: what to know before trusting it.
        wordings: of the benchmark; None if the table does not tell them apart (`prompt`).

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> (found,) = augury.forecast_ahead(runs, {"params": 7e9, "tokens": 1.4e11})
        >>> found.interval[0] < found.value < found.interval[1]
        True
    """

    task: str | None
    at: dict[str, float]
    value: float
    interval: tuple[float, float]
    mean_interval: tuple[float, float]
    run_share: float | None
    extrapolation: float
    level: float
    models: int
    notes: tuple[Note, ...] = ()
    wordings: WordingForecast | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "task": self.task,
            "at": self.at,
            "value": self.value,
            "interval": list(self.interval),
            "mean_interval": list(self.mean_interval),
            "run_share": self.run_share,
            "extrapolation": known(self.extrapolation),
            "level": self.level,
            "models": self.models,
            "wordings": None if self.wordings is None else self.wordings.to_dict(),
            "notes": [vars(note) for note in self.notes],
        }

    def _card(self) -> Card:
        low, high = self.interval
        row = {"task": self.task, **self.at, "value": self.value, "low": low, "high": high,
               "run_share": self.run_share, "extrapolation": self.extrapolation}  # fmt: skip
        return Card(
            f"Forecast from {self.models} models, {self.level:.0%} interval for one new model; "
            "extrapolation in ranges of the data",
            pl.DataFrame([row]),
            self.notes,
        )

    def __str__(self) -> str:
        where = ", ".join(f"{name}={x:.4g}" for name, x in self.at.items())
        named = "" if self.task is None else f"{self.task} at "
        (low, high), (mean_low, mean_high) = self.interval, self.mean_interval
        words = "" if self.wordings is None else f"   {self.wordings}"
        return (
            f"{named}{where}: {self.value:.4g}   {self.level:.0%} new model [{low:.4g}, "
            f"{high:.4g}], mean [{mean_low:.4g}, {mean_high:.4g}]   "
            f"{run_share_text(self.run_share)}   "
            f"{self.extrapolation:.2f} ranges beyond the data{words}"
        )


def forecast_ahead(
    table: pl.DataFrame,
    at: At,
    *,
    output: str | None = None,
    over: str | None = None,
    level: float = 0.9,
) -> Several[AheadForecast]:
    """Forecast a loss or scores of larger models, by the average of simple forecasts.

    The default for losses and scores: on the development half of benchmarks/scorecard no law and no
    single line had a better score (docs/compare.md). Use `fit` if you want exponents, or the
    separate effects of parameters and tokens.

    Args:
        table: one row per model (and task): params, tokens or flops, and `loss` or a score. Rows
            that differ only in `prompt` are wordings of one benchmark: the forecast is for the mean
            over wordings, of which those measured are a sample.
        at: the points: two of params, tokens and flops, as in the table.
        output: "loss" (or another positive column that falls as models grow), or "value", scores
            from 0 to 1. By default the loss if there is no task.
        over: the scale along which the ladder grows: by default flops, else tokens or params,
            whichever varies first.
        level: of the intervals.

    Returns:
        A list with one `AheadForecast` per task and point.

    Raises:
        DataError: a column is missing, or the scales are too few.
        UsageError: a point lacks a scale, the level is not between 0 and 1, or a task has scores by
            several metrics.

    Source: the equal-weight average of simple forecasts (Clemen 1989); its parts and the random
    walk of their errors are ours.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> (found,) = augury.forecast_ahead(runs, {"params": 7e9, "tokens": 1.4e11})
        >>> print(f"{found.value:.1f} nats per token")
        2.1 nats per token
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    rows = observations(table)
    if output is None:
        output = "loss" if "loss" in rows.columns and "task" not in rows.columns else "value"
    if output == "value":
        rows = add_value(rows)
        check_one_metric(rows)
    if output not in rows.columns:
        raise DataError("the column is missing", column=output, expected="what is to be forecast")
    if output == "value":
        rows = _model_means(rows)
    points = points_table(at)
    tasks = ["task"] if output == "value" and "task" in rows.columns else []
    groups = rows.group_by(tasks, maintain_order=True) if tasks else [((None,), rows)]
    out: Several[AheadForecast] = Several()
    for (task,), own in groups:
        out.extend(_forecast_one(own, points, output, over, level, task))
    return out


def _model_means(rows: pl.DataFrame) -> pl.DataFrame:
    """Average the instances of a task into scores of models, if rows are of instances."""
    if "instance" not in rows.columns or rows["instance"].null_count() == rows.height:
        return rows
    keys = [n for n in (*MODEL, *ALONG) if n in rows.columns]
    rows = rows.filter(pl.col("instance").is_not_null())
    if not wordings_in(rows):
        keys = [n for n in keys if n != PROMPT]
    means = [n for n in ("value", "chance") if n in rows.columns]
    return rows.group_by(keys, maintain_order=True).agg(pl.col(means).mean())


def _forecast_one(
    rows: pl.DataFrame, points: pl.DataFrame, output: str, over: str | None, level: float, task: Any
) -> list[AheadForecast]:
    """Forecast one loss or one task."""
    whose = "" if task is None else f"task '{task}': "
    axis = _axis(rows, over, whose)
    rows = rows.drop_nulls([axis, output])
    early = at_chance_notes([task] if output == "value" and at_chance(rows) else [])
    if axis not in points.columns:
        raise UsageError(f"the ladder grows along {axis}; the point has no {axis}")
    y = rows[output].cast(pl.Float64).to_numpy()
    kind = _kind(y, output, whose)
    link = ARCSINE if kind == "score" else LOG
    rows, words = over_wordings(rows, output, link)
    y = rows[output].cast(pl.Float64).to_numpy()
    tail = (1 - level) / 2
    levels = np.array([tail, 0.5, 1 - tail])
    found = ladder_average(kind, rows, points, y, axis, levels)
    if found is None:
        raise DataError(
            f"{whose}{rows.height} points at {rows[axis].n_unique()} scales are too few",
            column=axis,
            expected="at least four points, at three or more different scales",
        )
    far = extrapolation(rows.select(axis), points.select(axis))
    asked = wording_forecasts(words, found.run, levels, link)
    if words is not None:
        run, mean = (words.widen(q, levels, link) for q in (found.run, found.mean))
        found = Averaged(run, mean)
    names = [n for n in ALONG if n in points.columns and points[n].null_count() == 0]
    return [
        AheadForecast(
            task=task,
            at={n: float(points[n][i]) for n in sorted(names, reverse=True)},
            value=float(found.run[1, i]),
            interval=run,
            mean_interval=mean,
            run_share=run_share(mean, run),
            extrapolation=float(far[i]),
            level=level,
            models=rows.height,
            notes=(*_notes(float(far[i])), *early, *notes_of(words)),
            wordings=asked[i],
        )
        for i in range(points.height)
        for run, mean in [tuple((float(q[0, i]), float(q[2, i])) for q in (found.run, found.mean))]
    ]


def ladder_average(
    kind: Kind,
    rows: pl.DataFrame,
    points: pl.DataFrame,
    y: Floats,
    axis: str,
    levels: Floats,
) -> Averaged | None:
    """Average the forecasts of one ladder; None if it has too few points for a line."""

    def logs(frame: pl.DataFrame, names: Sequence[str]) -> Floats:
        return np.log(frame.select(pl.col(n).cast(pl.Float64) for n in names).to_numpy())

    if len(y) < 2 + SPARE or rows[axis].n_unique() < FEWEST_SCALES:
        return None
    size, far = logs(rows, [axis]), logs(points, [axis])
    run = run_ids(rows)
    single = Ladder(size, far, size[:, 0], far[:, 0], y, run, (axis,))
    plane = None
    able = all(
        n in rows.columns
        and n in points.columns
        and rows[n].null_count() + points[n].null_count() == 0
        and rows[n].n_unique() > 1
        for n in PLANE
    )
    if able and len(y) >= 3 + SPARE:
        plane = Ladder(logs(rows, PLANE), logs(points, PLANE), size[:, 0], far[:, 0], y, run, PLANE)
    return average_ahead(kind, single, plane, levels)


def _axis(rows: pl.DataFrame, over: str | None, whose: str) -> str:
    for name in ALONG if over is None else (over,):
        if name in rows.columns and rows[name].drop_nulls().n_unique() > 1:
            if float(rows[name].drop_nulls().min()) <= 0:  # type: ignore[arg-type]
                raise DataError(
                    f"{whose}a scale is not positive", column=name, expected="a positive number"
                )
            return name
    if not {over or "", *ALONG} & set(rows.columns):
        raise DataError(
            "the column is missing",
            column=over or "params",
            expected=f"params, tokens or flops: one of the table's columns "
            f"({', '.join(rows.columns[:12])}) mapped to it",
        )
    raise DataError(
        f"{whose}no scale varies",
        column=over or "flops",
        expected="models of different params, tokens or flops",
    )


def _kind(y: Floats, output: str, whose: str) -> Kind:
    """Return "score" if the column is one; otherwise something positive, forecast in logarithms."""
    if output == "value" and (y >= 0).all() and (y <= 1).all():
        return "score"
    if output == "value" or not (y > 0).all():
        wrong = y[(y < 0) | (y > 1)] if output == "value" else y[~(y > 0)]
        raise DataError(
            f"{whose}cannot be forecast",
            column=output,
            value=float(wrong[0]),
            expected="scores from 0 to 1" if output == "value" else "positive numbers",
        )
    return "loss"


def at_chance_notes(tasks: Sequence[str | None]) -> tuple[Note, ...]:
    """Return a warning about tasks whose scores cannot show an ability coming; () without tasks."""
    if not tasks:
        return ()
    of = "" if tasks == [None] else f" of {', '.join(map(str, tasks[:5]))}"
    more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
    said = (
        f"no score{of}{more} is clearly above guessing: such scores cannot show an ability coming, "
        "and their intervals do not allow for one; measure pass rates (`augury passuntil`), or "
        "finetune (`augury emergence`)"
    )
    return (Note("scores-at-chance", "warning", said, {"tasks": list(tasks)}),)


def _notes(far: float) -> tuple[Note, ...]:
    if far <= 1:
        return ()
    said = (
        f"the target lies beyond the data by {far:.1f} times their range, farther than a backtest "
        "can check"
    )
    return (Note("far", "warning", said, {"extrapolation": far}),)
