"""All tasks of a ladder at once: scores at the target, and whether they pass a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy

from augury.data.compute import params_for_flops, tokens_for_flops, training_flops
from augury.data.scores import at_chance, check_one_metric
from augury.data.table import run_ids
from augury.display import Card
from augury.errors import DataError, UsageError
from augury.forecast.ahead import at_chance_notes, forecast_ahead
from augury.forecast.ladder import forecast_ladder
from augury.forecast.links import ARCSINE
from augury.forecast.prediction import extrapolation, known, run_share_text
from augury.forecast.questions.answers import Answer, status_at
from augury.forecast.wordings import (
    PROMPT,
    WordingForecast,
    notes_on_tasks,
    over_wordings_of_tasks,
    wordings_in,
)
from augury.notes import Note

# Protocol of Bhagia et al. 2024: a run's last point is the mean of this many evaluations, and its
# first tenth is left out of the curve from loss to score.
LAST, FIRST = 5, 0.1
# Runs with fewer evaluations than this are not averaged: their loss still falls too fast.
MANY = 10
# Recipes are backtested on at least this many runs.
FEWEST_RUNS = 8


@dataclass(frozen=True)
class LadderOutlook(Answer):
    """The score of every task of a ladder at the target.

    Attributes:
        at: params and tokens of the target.
        threshold: score that a task should pass; None if none was given.
        table: per task: now (score of the run with most compute), value, low, high (for one new
            run), mean_low, mean_high (for the mean of many runs), run_share (share of the new run's
            squared width that is spread between runs), probability_above (of the threshold; null
            without one).
        recipe: the way of forecasting that backtests chose.
        held: share of the backtest's forecasts inside their intervals; NaN without a backtest.
        extrapolation: of the target.
        wordings: by task, if the table tells wordings apart (`prompt`).
        at_chance: tasks of which no score is clearly above guessing: their intervals do not allow
            for an ability that has yet to come.
    """

    at: Mapping[str, float]
    threshold: float | None
    table: pl.DataFrame
    recipe: str
    held: float
    extrapolation: float
    wordings: Mapping[str, WordingForecast]
    at_chance: tuple[str, ...] = ()

    def to_list(self) -> list[dict[str, Any]]:
        """Return one record per task, ready for JSON."""
        return [
            {
                "task": row["task"],
                "value": row["value"],
                "interval": [row["low"], row["high"]],
                "mean_interval": [row["mean_low"], row["mean_high"]],
                "run_share": row["run_share"],
                "wordings": self.wordings[row["task"]].to_dict()
                if row["task"] in self.wordings
                else None,
                "level": self.level,
                "probability_above": row["probability_above"],
                "threshold": self.threshold,
                "now": row["now"],
                "extrapolation": known(self.extrapolation),
                "at_chance": row["task"] in self.at_chance,
            }
            for row in self.table.iter_rows(named=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "at": dict(self.at),
            "tasks": self.to_list(),
            "recipe": self.recipe,
            "held": known(self.held),
            **self.about(),
        }

    def _card(self) -> Card:
        return Card(self._heading(), self.table, self.notes)

    def _heading(self) -> str:
        where = ", ".join(f"{name}={x:.4g}" for name, x in self.at.items())
        return f"{self.table.height} tasks at {where}, {self.level:.0%} intervals: {self.status}"

    def __repr__(self) -> str:
        return f"<LadderOutlook of {self.table.height} tasks>"

    def __str__(self) -> str:
        width = max(len(task) for task in self.table["task"])
        mark = "" if self.threshold is None else f"   above {self.threshold:g}"
        lines = [self._heading(), f"  {'task':{width}s}    now  forecast  new run         "
                                  f"mean of runs{mark}"]  # fmt: skip
        for row in self.table.sort("value", descending=True).iter_rows(named=True):
            chance = row["probability_above"]
            lines.append(
                f"  {row['task']:{width}s}  {row['now']:.3f}     {row['value']:.3f}  "
                f"[{row['low']:.3f}, {row['high']:.3f}]  "
                f"[{row['mean_low']:.3f}, {row['mean_high']:.3f}]"
                + ("" if chance is None else f"   {chance:6.1%}")
            )
        held = f"; {self.held:.0%} of its backtest's intervals held"
        lines.append(f"  By {self.recipe}{held if np.isfinite(self.held) else ''}.")
        shares = self.table["run_share"].drop_nulls()
        if len(shares):
            lines.append(f"  {run_share_text(float(np.median(shares)))} (median of the tasks).")
        lines += [f"  {task}: {words}" for task, words in self.wordings.items()]
        lines += [f"  {n.severity}: {n.message}" for n in self.notes]
        return "\n".join(lines)


def ladder_outlook(
    table: pl.DataFrame,
    at: Mapping[str, float],
    *,
    threshold: float | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> LadderOutlook:
    """Forecast all tasks of a ladder.

    Args:
        table: one row per run, task and checkpoint: model (or run), task, params, tokens, value,
            and bpb (bits per byte of the correct answer) or loss. Runs with ten or more checkpoints
            are averaged over five of them. Without bpb and loss, or with fewer than eight runs,
            scores are forecast by `forecast_ahead`.
        at: the target: two of params, tokens and flops.
        threshold: a score that tasks should pass.
        level: of the intervals.
        seed: of the resampling.

    Returns:
        A `LadderOutlook`.

    Raises:
        DataError: a column is missing, or a task has fewer than four runs.
        UsageError: the target lacks params or tokens, the level or threshold is not between 0 and
            1, or a task has scores by several metrics.

    Source: that of `forecast_ladder`.
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    if threshold is not None and not 0.0 < threshold < 1.0:
        raise UsageError(f"threshold must lie between 0 and 1, not {threshold:g}")
    target = _target(at)
    finals, checkpoints = ladder_tables(table)
    found = (
        forecast_ladder(finals, checkpoints, target, level=level, seed=seed)
        if "bpb" in finals.columns and finals["run"].n_unique() >= FEWEST_RUNS
        else _average_forecasts(finals, target, level)
    )
    finals, words = over_wordings_of_tasks(finals, "value", ARCSINE)
    best = finals.sort("flops").group_by("task", maintain_order=True).last()
    now = dict(best.select("task", "value").iter_rows())
    rows = [
        {
            "task": row["task"],
            "now": now[row["task"]],
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "mean_low": row["mean_low"],
            "mean_high": row["mean_high"],
            "run_share": row["run_share"],
            "probability_above": None
            if threshold is None
            else probability_above(row["value"], row["low"], row["high"], level, threshold),
        }
        for row in found.table.iter_rows(named=True)
    ]
    far = float(extrapolation(finals.select("params", "tokens"), pl.DataFrame([target]))[0])
    status, notes = status_at(far)
    few = finals.group_by("task").agg(pl.col("run").n_unique()).filter(
        pl.col("run") < finals["run"].n_unique()
    )["task"].sort().to_list()  # fmt: skip
    if few:
        said = f"Not every run has a score of {', '.join(few[:5])}: these are based on fewer runs."
        notes.append(Note("few-runs", "warning", said, {"tasks": few}))
    own = table.group_by("task", maintain_order=True)
    early = [str(task) for (task,), scores in own if at_chance(scores)]
    return LadderOutlook(
        level=level,
        status=status,
        notes=(*notes, *at_chance_notes(early), *notes_on_tasks(words)),
        seed=seed,
        at=target,
        threshold=threshold,
        table=pl.DataFrame(
            rows, schema_overrides=dict.fromkeys(("probability_above", "run_share"), pl.Float64)
        ),
        recipe=found.recipe if isinstance(found, _Average) else str(found.recipe),
        held=found.coverage,
        extrapolation=far,
        wordings=found.wordings,
        at_chance=tuple(early),
    )


@dataclass(frozen=True)
class _Average:
    """Replaces a `LadderForecast` if no recipe can be backtested."""

    table: pl.DataFrame
    wordings: Mapping[str, WordingForecast]
    recipe: str = "the average of simple forecasts of each task alone"
    coverage: float = np.nan


def _average_forecasts(finals: pl.DataFrame, target: Mapping[str, float], level: float) -> _Average:
    """Forecast scores from parameters and tokens alone."""
    found = forecast_ahead(finals, [dict(target)], output="value", level=level)
    rows = [(f.task, f.value, *f.interval, *f.mean_interval, f.run_share) for f in found]
    names = ["task", "value", "low", "high", "mean_low", "mean_high", "run_share"]
    return _Average(
        pl.DataFrame(rows, schema=names, orient="row"),
        {str(f.task): f.wordings for f in found if f.wordings is not None},
    )


def probability_above(
    value: float, low: float, high: float, level: float, threshold: float
) -> float:
    """Probability that a score exceeds a threshold, from its interval: normal on each side."""
    reach = scipy.stats.norm.ppf(0.5 + level / 2)
    width = (value - low if threshold < value else high - value) / reach
    off = value - threshold
    if width <= 0:
        return float(off > 0) if off else 0.5
    return float(scipy.stats.norm.cdf(off / width))


def ladder_tables(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the last points of runs and their checkpoints, as `forecast_ladder` takes them.

    Raises:
        DataError: a column is missing.
        UsageError: a task has scores by several metrics.
    """
    link = next((n for n in ("bpb", "loss") if n in table.columns), None)
    for name in ("task", "params", "tokens", "value"):
        if name not in table.columns:
            raise DataError("the column is missing", column=name,
                            expected="a ladder: task, params, tokens, value, and bpb or "
                                     "loss")  # fmt: skip
    if not {"run", "model"} & set(table.columns):
        raise DataError("the column is missing", column="model", expected="the run of each row")
    check_one_metric(table)
    links = [] if link is None else [pl.col(link).alias("bpb")]
    words = [pl.col(PROMPT).fill_null("")] if wordings_in(table) else []
    rows = table.with_columns(run=pl.Series(run_ids(table)).cast(pl.String)).select(
        "run", "task", *words, "params", "tokens", *links, "value"
    )
    over = ("run", "task", *((PROMPT,) if words else ()))
    rows = rows.drop_nulls().sort(*over, "tokens")
    many = pl.len().over(over) >= MANY
    mean = [
        pl.when(many).then(pl.col(c).rolling_mean(LAST, min_samples=1).over(over)).otherwise(c)
        .alias(c)
        for c in ("bpb", "value")
        if c in rows.columns
    ]  # fmt: skip
    place = pl.int_range(pl.len()).over(over)
    late = place >= (FIRST * pl.len().over(over)).ceil()
    finals = rows.with_columns(mean).group_by(over, maintain_order=True).last()
    checkpoints = rows.with_columns(mean).filter(~many | late)
    flops = training_flops(pl.col("params"), pl.col("tokens"))
    return finals.with_columns(flops=flops), checkpoints


def _target(at: Mapping[str, float]) -> dict[str, float]:
    """Return params and tokens of the target."""
    found = {name: float(x) for name, x in at.items() if name in ("params", "tokens", "flops")}
    if len(found) < 2:
        raise UsageError("the target needs two of params, tokens and flops")
    if "params" not in found:
        found["params"] = float(params_for_flops(found["flops"], found["tokens"]))
    if "tokens" not in found:
        found["tokens"] = float(tokens_for_flops(found["flops"], found["params"]))
    for name, x in found.items():
        if not (np.isfinite(x) and x > 0):
            raise UsageError(f"{name} must be a positive number, not {x:g}")
    return {name: found[name] for name in ("params", "tokens")}
