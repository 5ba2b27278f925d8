"""The size a model of a reference family would need to score as a given model does.

In the logit of its scores above chance, each task of a reference family is a line in log
parameters. A model's scores on all tasks then give a posterior over the size at which the family
would have them, on a grid of sizes: Student t around each task's line, with uncertain slope and
level. The answer depends on the reference and on the tasks, so it is given per reference, and over
all of them as a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy
from scipy.special import logsumexp

from augury.data import observations
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting.space import Floats
from augury.notes import Note

# Number of sizes of a family needed for a line and its scatter.
FEWEST_SIZES = 3
# How far a size may lie beyond the family, in e-folds; a posterior that reaches the end is open.
BEYOND = float(np.log(1e4))
GRID = 1601
# The logit of a score is limited to this: beyond it nothing is known about 0 and 1.
EDGE = 4.6
# The scatter of a task's line is shrunk towards that of all tasks with this many degrees of
# freedom.
SHARED_FREEDOM = 2.0
# Tasks of a family deviate from their lines together: any number of them is worth this many. 90 %
# intervals of the families' own models, each left out in turn (eight tasks of 114 base models),
# then cover 88 % of 60; 63 % with all tasks counted, 95 % with two.
INDEPENDENT_TASKS = 3.0


@dataclass(frozen=True)
class ReferenceSize:
    """The effective size according to one reference family.

    Attributes:
        reference: the family.
        value: parameters, the posterior's median.
        interval: at the result's level; infinite if scores lie beyond what the family reaches.
        tasks: task, score, and `params`, the size at which the family's line has this score.
        sizes: smallest and largest size of the family.
    """

    reference: str
    value: float
    interval: tuple[float, float]
    tasks: pl.DataFrame
    sizes: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"reference": self.reference, "value": self.value,
                "interval": [x if np.isfinite(x) else None for x in self.interval],
                "tasks": self.tasks.to_dicts()}  # fmt: skip


@dataclass(frozen=True)
class EffectiveSize(Shown):
    """A model's effective size according to reference families.

    Attributes:
        model: its name.
        params: its parameters; None if the table does not give them.
        value: effective parameters, the median of the references' mixture.
        interval: at `level`, of the mixture, which includes the spread between references.
        level: of the intervals.
        references: each separately.
        notes: warnings and remarks for the reader.
    """

    model: str
    params: float | None
    value: float
    interval: tuple[float, float]
    level: float
    references: tuple[ReferenceSize, ...]
    notes: tuple[Note, ...]

    @property
    def density(self) -> float | None:
        """Effective parameters per parameter; None if its size is unknown."""
        return None if self.params is None else self.value / self.params

    @property
    def density_interval(self) -> tuple[float, float] | None:
        """The interval of the density, at `level`."""
        if self.params is None:
            return None
        return self.interval[0] / self.params, self.interval[1] / self.params

    def _card(self) -> Card:
        rows = [
            {"reference": r.reference, "effective parameters": r.value, "low": r.interval[0],
             "high": r.interval[1], "tasks": r.tasks.height}
            for r in self.references
        ]  # fmt: skip
        dense = "" if self.density is None else f", density {self.density:.2g}"
        low, high = self.interval
        heading = (
            f"{self.model}: {self.value:.3g} effective parameters [{low:.3g}, {high:.3g}] "
            f"({self.level:.0%}){dense}"
        )
        return Card(heading, pl.DataFrame(rows), self.notes)

    def __str__(self) -> str:
        lines = [self._card().heading]
        lines += [f"  by {r.reference}: {r.value:.3g} [{r.interval[0]:.3g}, {r.interval[1]:.3g}]"
                  for r in self.references]  # fmt: skip
        return "\n".join([*lines, *(f"  {note.severity}: {note.message}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""

        def known(pair: tuple[float, float] | None) -> list[float | None] | None:
            return None if pair is None else [x if np.isfinite(x) else None for x in pair]

        return {
            "model": self.model,
            "params": self.params,
            "effective_params": {"value": self.value, "interval": known(self.interval)},
            "density": self.density,
            "density_interval": known(self.density_interval),
            "level": self.level,
            "references": [r.to_dict() for r in self.references],
            "notes": [{"code": n.code, "severity": n.severity, "message": n.message}
                      for n in self.notes],
        }  # fmt: skip


def effective_size(
    scores: pl.DataFrame,
    model: str,
    references: str | Sequence[str] | None = None,
    *,
    level: float = 0.9,
) -> EffectiveSize:
    """Estimate the size a model of a reference family would need to score as a model does.

    Args:
        scores: long table: model, family, params, task, value (a score, better if higher) and, if
            guessing scores above 0, chance.
        model: the model to measure.
        references: families to measure it by; by default every other family of the table with at
            least three sizes and a task in common with the model.
        level: of the intervals.

    Returns:
        An `EffectiveSize`: parameters and density (effective parameters per parameter), over all
        references and for each.

    Raises:
        DataError: a column is missing.
        UsageError: the model or family does not exist, or a reference has too few sizes or no task
            that rises with size.

    Source: Xiao et al. 2024 (arXiv 2412.04315) for density; the posterior is ours.

    Examples:
        >>> rows = [("small", "a", 1e9, .4), ("middle", "a", 4e9, .5), ("large", "a", 1.6e10, .6),
        ...         ("mine", "b", 1e9, .52)]
        >>> table = pl.DataFrame([(*row[:3], "quiz", row[3]) for row in rows], orient="row",
        ...     schema=["model", "family", "params", "task", "value"])
        >>> effective_size(table, "mine", "a").density > 4
        True
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    table = score_table(scores)
    own = table.filter(pl.col("model") == model)
    if own.is_empty():
        raise UsageError(f"no model '{model}' in the table")
    names = families_of(table, own, references)
    found, grids = [], []
    for name in names:
        result = by_reference(table.filter(pl.col("family") == name, pl.col("model") != model), own)
        if result is None and references is None:
            continue
        if result is None:
            raise UsageError(
                f"family '{name}' cannot measure {model}: it needs {FEWEST_SIZES} sizes, and a "
                "task of the model that rises with size"
            )
        grid, density, tasks, sizes = result
        value, interval = summed(grid, density, level)
        found.append(ReferenceSize(name, value, interval, tasks, sizes))
        grids.append((grid, density))
    if not found:
        raise UsageError(
            f"no family of the table can measure {model}: none has {FEWEST_SIZES} sizes and a "
            "task of the model that rises with size"
        )
    grid = np.linspace(min(g[0] for g, _ in grids), max(g[-1] for g, _ in grids), 2 * GRID)
    mixed = np.mean([np.interp(grid, g, d / _area(g, d), left=0, right=0) for g, d in grids], 0)
    value, interval = summed(grid, mixed, level)
    sizes_known = own["params"].drop_nulls().unique().to_list()
    params = float(sizes_known[0]) if sizes_known else None
    return EffectiveSize(model, params, value, interval, level, tuple(found), _notes(value, found))


def score_table(scores: pl.DataFrame) -> pl.DataFrame:
    """Keep rows with a score, and add its logit above chance as `y`.

    Raises:
        DataError: a column is missing.
    """
    for name in ("model", "family", "params", "task", "value"):
        if name not in scores.columns:
            raise DataError("the column is missing", column=name,
                            expected="model, family, params, task, value")  # fmt: skip
    table = observations(scores).filter(pl.col("value").is_finite())
    chance = pl.col("chance").fill_null(0.0) if "chance" in table.columns else pl.lit(0.0)
    share = (pl.col("value") - chance) / (1.0 - chance)
    low = 1.0 / (1.0 + np.exp(EDGE))
    share = share.clip(low, 1.0 - low)
    return table.with_columns(y=(share / (1.0 - share)).log())


def families_of(
    table: pl.DataFrame, own: pl.DataFrame, references: str | Sequence[str] | None
) -> list[str]:
    """Return the reference families asked for, or all that can serve.

    Raises:
        UsageError: the family does not exist.
    """
    there = table["family"].drop_nulls().unique(maintain_order=True).to_list()
    if references is None:
        return [f for f in there if f not in own["family"].to_list()]
    wanted = [references] if isinstance(references, str) else list(references)
    if unknown := [f for f in wanted if f not in there]:
        raise UsageError(f"no family is called '{unknown[0]}'; there are: {', '.join(there[:12])}")
    return wanted


@dataclass(frozen=True)
class TaskLine:
    """A family's scores of one task: the line of the logit in log parameters, and its scatter."""

    slope: float
    middle: tuple[float, float]
    count: int
    squares: float
    width: float

    def at(self, x: Floats) -> Floats:
        return self.middle[1] + self.slope * (x - self.middle[0])


def task_lines(family: pl.DataFrame, tasks: Sequence[str]) -> dict[str, TaskLine]:
    """Fit the lines of the tasks that rise with size and have enough sizes."""
    lines = {}
    for task in tasks:
        rows = family.filter(pl.col("task") == task, pl.col("params") > 0)
        x, y = np.log(rows["params"].to_numpy().astype(float)), rows["y"].to_numpy()
        if len(np.unique(x)) < FEWEST_SIZES:
            continue
        off = x - x.mean()
        width = float(off @ off)
        slope = float(off @ y) / width
        if slope > 1e-9:  # above the rounding error of scores that are all alike
            squares = float(((y - y.mean() - slope * off) ** 2).sum())
            lines[task] = TaskLine(
                slope, (float(x.mean()), float(y.mean())), len(x), squares, width
            )
    return lines


def by_reference(
    family: pl.DataFrame, own: pl.DataFrame
) -> tuple[Floats, Floats, pl.DataFrame, tuple[float, float]] | None:
    """Return grid of log parameters, posterior on it, tasks, family's sizes; None if impossible."""
    lines = task_lines(family, own["task"].unique(maintain_order=True).to_list())
    if not lines:
        return None
    sizes = family.filter(pl.col("task").is_in(list(lines)))["params"]
    low, high = np.log(float(sizes.min())), np.log(float(sizes.max()))  # type: ignore[arg-type]
    grid = np.linspace(low - BEYOND, high + BEYOND, GRID)
    spare = sum(line.count - 2 for line in lines.values())
    shared = sum(line.squares for line in lines.values()) / max(spare, 1)
    score, rows = np.zeros(GRID), []
    for task, line in lines.items():
        given = own.filter(pl.col("task") == task)
        y = float(given["y"].mean())  # type: ignore[arg-type]
        freedom = line.count - 2 + SHARED_FREEDOM
        variance = (line.squares + SHARED_FREEDOM * shared) / freedom + 1e-6
        wide = 1 + 1 / line.count + (grid - line.middle[0]) ** 2 / line.width
        scale = np.sqrt(variance * wide)
        score += scipy.stats.t.logpdf((y - line.at(grid)) / scale, freedom) - np.log(scale)
        where = line.middle[0] + (y - line.middle[1]) / line.slope
        rows.append({"task": task, "score": float(given["value"].mean()),  # type: ignore[arg-type]
                     "params": float(np.exp(np.clip(where, grid[0], grid[-1])))})  # fmt: skip
    score *= min(1.0, INDEPENDENT_TASKS / len(lines))
    density = np.exp(score - logsumexp(score))
    ends = (float(np.exp(low)), float(np.exp(high)))
    return grid, density, pl.DataFrame(rows), ends


def summed(grid: Floats, density: Floats, level: float) -> tuple[float, tuple[float, float]]:
    """Return median and interval of a density on a log grid; open if it reaches an end."""
    below = np.cumsum(density) / density.sum()
    tail = (1.0 - level) / 2
    middle, low, high = (float(grid[int(np.searchsorted(below, q))]) for q in (0.5, tail, 1 - tail))
    edge = 0.02 * (grid[-1] - grid[0])
    return float(np.exp(middle)), (
        0.0 if low < grid[0] + edge else float(np.exp(low)),
        np.inf if high > grid[-1] - edge else float(np.exp(high)),
    )


def _area(grid: Floats, density: Floats) -> float:
    return float(np.trapezoid(density, grid))


def _notes(value: float, found: Sequence[ReferenceSize]) -> tuple[Note, ...]:
    low, high = min(r.sizes[0] for r in found), max(r.sizes[1] for r in found)
    notes = []
    if not low / 2 <= value <= high * 2:
        message = (
            f"The effective size, {value:.3g}, lies outside the references, which have {low:.3g} "
            f"to {high:.3g} parameters: the result extrapolates their lines."
        )
        notes.append(Note("far", "warning", message, {"low": low, "high": high}))
    return tuple(notes)
