"""Group an observation table into series: scores of runs over training per family, task, metric.

Scores between 0 and 1 are analysed as 2 arcsin(sqrt(score)), on which a binomial proportion of n
items has the standard error 1 / sqrt(n) everywhere (Freeman & Tukey 1950), and noise between
checkpoints is about as large at .9 as at .5. Positive unbounded metrics (perplexity) are analysed
in logarithms. Both transforms are monotone: a fall stays a fall, a turn a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data import run_ids
from augury.data.metrics import higher_is_better
from augury.data.scores import counts_outcomes, whole_tasks
from augury.errors import DataError, UsageError
from augury.forecast.links import ARCSINE, Link
from augury.forecast.wordings import PROMPT, Wordings, over_wordings

Floats = NDArray[np.float64]
# Measures of training; the first that the table has is used.
PROGRESS = ("tokens", "step", "loss")


@dataclass(frozen=True)
class Scale:
    """How a metric is analysed: `forward` to the scale of the analysis, `back` from it.

    `ends` are the least and the largest value there is, on the scale of the analysis.
    """

    name: str
    forward: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    ends: tuple[float, float] = (-np.inf, np.inf)

    @property
    def link(self) -> Link:
        """The transform and its inverse."""
        return Link(self.forward, self.back)


RATE = Scale("rate", ARCSINE.to, ARCSINE.back, (0.0, np.pi))
POSITIVE = Scale("positive", np.log, np.exp)
PLAIN = Scale("plain", lambda y: y, lambda y: y)


@dataclass(frozen=True)
class Design:
    """Where a family was measured.

    Attributes:
        x: (n,) logarithm of tokens or steps, or minus the loss, growing with training.
        z: (n,) logarithm of params minus its mean over runs, 0 if there is one size.
        run: (n,) int from 0; rows are ordered by run, then by x.
        sizes: (R,) params of each run (NaN if unknown).
        progress: the column x is from.
        zero: logarithm of params at z = 0.
    """

    x: Floats
    z: Floats
    run: NDArray[np.int64]
    sizes: Floats
    progress: str
    zero: float

    @property
    def runs(self) -> int:
        """Number of runs R."""
        return int(self.run.max()) + 1

    @property
    def largest(self) -> float:
        """Position z of the largest model."""
        return float(self.z.max())

    def at(self, x: Any) -> Any:
        """Convert x to the unit of its column."""
        return -x if self.progress == "loss" else np.exp(x)


@dataclass(frozen=True)
class TrendSeries:
    """Tasks of one family that were measured at the same points.

    Attributes:
        family: name, None if the table has none.
        keys: (T,) task and metric.
        design: the points.
        y: (T, n) scores on the scale of the analysis.
        sampling: (T,) mean sampling variance of a score on that scale, NaN if unknown.
        scales: (T,) of each task.
        chance: (T,) score of random guessing on the original scale, NaN if unknown.
        higher_is_better: (T,) direction of each metric, None if unknown.
        wordings: (T,) of each task, on the scale of the analysis; None if the table tells of none.
            Scores are means over them.
    """

    family: str | None
    keys: tuple[tuple[str, str], ...]
    design: Design
    y: Floats
    sampling: Floats
    scales: tuple[Scale, ...]
    chance: Floats
    higher_is_better: tuple[bool | None, ...]
    wordings: tuple[Wordings | None, ...]


def series_of(table: pl.DataFrame, by: Sequence[str] = ("family",)) -> list[TrendSeries]:
    """Group a table by family, task and metric; tasks with the same design are combined.

    Wordings of a task (rows that differ only in `prompt`) are averaged.
    Rows without a score or without a measure of training (including step 0) are left out.

    Raises:
        UsageError: no column measures training progress.
        DataError: a required column is missing, or one run was scored twice at the same point.
    """
    for name in ("task", "value"):
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="task and value")
    progress = next((p for p in PROGRESS if p in table.columns and table[p].count()), None)
    if progress is None:
        raise UsageError(f"trends need one of the columns {', '.join(PROGRESS)}")
    by = [name for name in by if name in table.columns]
    metric = pl.col("metric") if "metric" in table.columns else pl.lit("score")
    rows = table.with_columns(run=pl.Series(run_of(table)), metric=metric)
    rows = whole_tasks(rows)
    rows = rows.filter(pl.col("value").is_not_nan() & (pl.col(progress) > 0))
    if rows.is_empty():
        raise DataError("no score to analyse", expected=f"rows with value and {progress}")
    collected: dict[Any, list[Any]] = {}
    for key, own in rows.group_by([*by, "task", "metric"], maintain_order=True):
        family = " ".join(str(k) for k in key[: len(by)] if k is not None) or None
        words = None
        if PROMPT in own.columns:
            own, words = over_wordings(
                own, "value", scale_of(own["value"].cast(pl.Float64).to_numpy()).link
            )
        own = own.sort("run", progress, descending=[False, progress == "loss"])
        again = own.select("run", progress).is_duplicated()
        if again.any():
            i = int(again.arg_max())  # type: ignore[arg-type]
            raise DataError(
                f"task '{key[-2]}', metric '{key[-1]}' has two scores of one run at one point",
                column=progress,
                value=own[progress][i],
                expected=(
                    "one row per run, task, metric and point; filter by a column that "
                    "distinguishes them (such as shots)"
                ),
            )
        if own.height < 3:
            continue
        design = (family, *(own[c].to_numpy().tobytes() for c in ("run", progress)))
        collected.setdefault(design, []).append((str(key[-2]), str(key[-1]), own, words))
    return [_series(key[0], parts, progress) for key, parts in collected.items()]


def run_of(table: pl.DataFrame) -> NDArray[np.int64]:
    """Return (n,) the run of each row; without model or run names, rows of one size are one run."""
    if {"run", "model"} & set(table.columns) or "params" not in table.columns:
        return run_ids(table)
    key = [c for c in ("family", "params", "seed") if c in table.columns]
    return run_ids(table.with_columns(model=pl.struct(key).struct.json_encode()))


def _series(family: str | None, parts: list[Any], progress: str) -> TrendSeries:
    first: pl.DataFrame = parts[0][2]
    _, run = np.unique(first["run"].to_numpy(), return_inverse=True)
    x = first[progress].cast(pl.Float64).to_numpy()
    sizes = np.full(int(run.max()) + 1, np.nan)
    if "params" in first.columns:
        sizes[run] = first["params"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = bool(np.isfinite(sizes).all())
    zero = float(np.log(sizes).mean()) if known else 0.0
    z = (np.log(sizes) - zero)[run] if known else np.zeros(len(x))
    design = Design(
        -x if progress == "loss" else np.log(x), z, run.astype(np.int64), sizes, progress, zero
    )
    y, sampling, scales, chance = [], [], [], []
    for _, _, own, _ in parts:
        values = own["value"].cast(pl.Float64).to_numpy()
        scale = scale_of(values)
        scales.append(scale)
        y.append(scale.forward(values))
        sampling.append(_sampling(own, values, scale))
        given = (
            own["chance"].drop_nulls()
            if "chance" in own.columns
            else pl.Series([], dtype=pl.Float64)
        )
        chance.append(float(given[0]) if len(given) else np.nan)
    return TrendSeries(
        family,
        tuple((task, metric) for task, metric, *_ in parts),
        design,
        np.array(y),
        np.array(sampling),
        tuple(scales),
        np.array(chance),
        tuple(direction_of(own, metric) for _, metric, own, _ in parts),
        tuple(words for *_, words in parts),
    )


def direction_of(own: pl.DataFrame, metric: str) -> bool | None:
    """Return a metric's direction: what its rows say if they agree, else what its name implies."""
    if "higher_is_better" in own.columns:
        said = own["higher_is_better"].drop_nulls().unique()
        if len(said):
            return bool(said[0]) if len(said) == 1 else None
    return higher_is_better(metric)


def scale_of(values: Floats) -> Scale:
    """Return the scale for rates between 0 and 1, for positive numbers, or for any numbers."""
    if values.min() >= 0 and values.max() <= 1:
        return RATE
    return POSITIVE if values.min() > 0 else PLAIN


def _sampling(own: pl.DataFrame, values: Floats, scale: Scale) -> float:
    """Return the mean sampling variance on the scale of the analysis, from n or standard errors."""
    if scale is RATE and counts_outcomes(own).all():
        return float(np.mean(1.0 / own["n"].cast(pl.Float64).to_numpy()))
    if "stderr" not in own.columns:
        return np.nan
    error = own["stderr"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    if scale is RATE:
        inside = values * (1 - values)
        slope = np.where(inside > 1e-3, 1.0 / np.sqrt(np.maximum(inside, 1e-3)), np.nan)
    else:
        slope = 1.0 / values if scale is POSITIVE else np.ones_like(values)
    variance = (error * slope) ** 2
    usable = variance[np.isfinite(variance)]
    return float(usable.mean()) if len(usable) else np.nan
