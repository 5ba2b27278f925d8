"""The densing law: how fast the density of the best models grows with time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy

from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.forecast.families.size import by_reference, families_of, score_table, summed

# Number of records needed for a line through them.
FEWEST_RECORDS = 3
DAYS_PER_MONTH = 365.25 / 12


@dataclass(frozen=True)
class DensityTrend(Shown):
    """Density of the densest model to date, for one reference family and one set of tasks.

    Attributes:
        reference: the family.
        tasks: that were scored.
        records: the models that were denser than all before: model, date, density.
        doubling: months in which the records' density doubles.
        interval: its interval at `level`, from the scatter of the records around their line; its
            upper end is infinite if the slope may be 0.
        level: of the interval.
    """

    reference: str
    tasks: tuple[str, ...]
    records: pl.DataFrame
    doubling: float
    interval: tuple[float, float]
    level: float

    def _card(self) -> Card:
        low, high = self.interval
        return Card(
            f"Density by {self.reference} on {', '.join(self.tasks)} doubles in "
            f"{self.doubling:.1f} months [{low:.1f}, {high:.1f}] ({self.records.height} records)",
            self.records,
        )

    def __str__(self) -> str:
        return self._card().heading

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"reference": self.reference, "tasks": list(self.tasks), "doubling": self.doubling,
                "interval": [x if np.isfinite(x) else None for x in self.interval],
                "level": self.level, "records": self.records.height}  # fmt: skip


def density_trend(
    scores: pl.DataFrame,
    references: str | Sequence[str] | None = None,
    *,
    tasks: Sequence[str] | None = None,
    level: float = 0.9,
) -> list[DensityTrend]:
    """Estimate the doubling time of the density of the densest models, per reference family.

    ln density = A t + B through the models that were denser than all before them. The result
    depends on the reference and the tasks: look at the spread over several, never at one number.

    Args:
        scores: as for `effective_size`, with a column `date` (a date).
        references: families; by default all with at least three sizes.
        tasks: to use; by default all. A model counts if it has all of them that the reference has.
        level: of the intervals.

    Returns:
        One `DensityTrend` per reference with at least three records.

    Raises:
        DataError: a column is missing, or `date` holds no dates.
        UsageError: no reference has enough records.

    Source: Xiao et al. 2024 (arXiv 2412.04315); sizes come from our own lines instead of their
    losses.
    """
    if "date" not in scores.columns or not scores["date"].dtype.is_temporal():
        raise DataError(
            "is not a column of dates", column="date", expected=("the release date of a model")
        )
    table = score_table(scores)
    if tasks is not None:
        table = table.filter(pl.col("task").is_in(list(tasks)))
    nobody = table.head(0)
    found = []
    for name in families_of(table, nobody, references):
        family = table.filter(pl.col("family") == name)
        densities = []
        for (model,), own in table.filter(pl.col("params") > 0).group_by("model"):
            result = by_reference(family.filter(pl.col("model") != model), own)
            if result is None or own["date"].is_null().all():
                continue
            grid, density, used, _ = result
            value = summed(grid, density, level)[0]
            densities.append({"model": model, "date": own["date"].drop_nulls()[0],
                              "density": value / float(own["params"][0]),
                              "used": used.height})  # fmt: skip
        if not densities:
            continue
        rows = pl.DataFrame(densities)
        rows = rows.filter(pl.col("used") == pl.col("used").max()).sort("date", "model")
        before = rows["density"].cum_max().shift(1).fill_null(0.0)
        records = rows.filter(rows["density"] > before).drop("used")
        if records.height < FEWEST_RECORDS:
            continue
        used_tasks = tuple(sorted(set(family["task"].to_list())))
        found.append(DensityTrend(name, used_tasks, records, *_doubling(records, level), level))
    if not found:
        raise UsageError(f"no reference family gives at least {FEWEST_RECORDS} density records")
    return found


def _doubling(records: pl.DataFrame, level: float) -> tuple[float, tuple[float, float]]:
    """Return the months to double, and their interval."""
    days = (records["date"] - records["date"].min()).dt.total_days().to_numpy().astype(float)
    line = scipy.stats.linregress(days / DAYS_PER_MONTH, np.log(records["density"].to_numpy()))
    reach = float(scipy.stats.t.ppf(0.5 + level / 2, records.height - 2)) * float(line.stderr)
    slope = float(line.slope)
    ends = [np.log(2) / s if s > 0 else np.inf for s in (slope + reach, slope - reach)]
    return float(np.log(2) / slope) if slope > 0 else np.inf, (float(ends[0]), float(ends[1]))
