"""The effective size of a model: the size a reference family would need for the same scores.

Densing law (Xiao et al. 2024, arXiv 2412.04315): density is effective over actual size. It depends
on the reference family and on the benchmarks, so every family that could serve is reported beside
the requested one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy

from augury.display import Card
from augury.errors import DataError, UsageError
from augury.fitting import fit
from augury.forecast.prediction import known
from augury.forecast.questions.answers import Answer, AnswerStatus, Estimate
from augury.notes import Note

# Number of sizes that make a family a reference, and number of tasks from which their spread gives
# the interval.
SIZES, TASKS = 3, 3
# Effective sizes outside the family's own sizes by more than this factor count as far.
OUTSIDE = 10.0


@dataclass(frozen=True)
class SizeAnswer(Answer):
    """The size at which the reference family would score as this model does.

    Attributes:
        model, reference: the model, and the family it is measured by.
        params: of the model; None if the table does not give them.
        effective_params: geometric mean over tasks; the interval is that of the mean (Student's t
            over tasks), so that it applies to benchmarks like these.
        density: effective over actual size; None if the size is unknown.
        table: per task: score, effective_params (null if the family's curve never has it).
        references: per family whose sizes contain it within a factor of ten: family,
            effective_params, density, low, high, tasks.
        curve: rows of task, params, value, kind: the family's models and its fitted curve.
    """

    model: str
    reference: str
    params: float | None
    effective_params: Estimate
    table: pl.DataFrame
    references: tuple[Mapping[str, Any], ...]
    curve: pl.DataFrame

    @property
    def density(self) -> float | None:
        return None if self.params is None else self.effective_params.value / self.params

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        interval: list[float | None] = [None, None]
        if self.params is not None:
            interval = [known(x / self.params) for x in self.effective_params.interval]
        return {
            "effective_params": self.effective_params.to_dict(),
            "density": None if self.density is None else known(self.density),
            "density_interval": interval,
            "references": [{k: known(v) if isinstance(v, float) else v for k, v in r.items()}
                           for r in self.references],
            "model": self.model,
            "reference": self.reference,
            "params": self.params,
            "tasks": self.table.to_dicts(),
            **self.about(),
        }  # fmt: skip

    def _card(self) -> Card:
        return Card(self._heading(), self.table, self.notes)

    def _heading(self) -> str:
        return f"{self.model} by {self.reference}: {self.status}"

    def __repr__(self) -> str:
        return f"<SizeAnswer {self.model} {self.effective_params.value:.3g}>"

    def __str__(self) -> str:
        lines = [
            f"{self._heading()} ({self.level:.0%} interval)",
            f"  effective size {self.effective_params}"
            + ("" if self.density is None else f"   density {self.density:.3g}"),
        ]
        for row in self.table.iter_rows(named=True):
            size = row["effective_params"]
            said = "undefined: no size reaches it" if size is None else f"{size:.3g}"
            lines.append(f"  {row['task']:20s} {row['score']:.3f}   {said}")
        for r in self.references:
            density = "" if r["density"] is None else f"   density {r['density']:.3g}"
            lines.append(
                f"  by {r['family']:18s} {r['effective_params']:.3g} "
                f"[{r['low']:.3g}, {r['high']:.3g}]{density}   {r['tasks']} tasks"
            )
        return "\n".join([*lines, *(f"  {n.severity}: {n.message}" for n in self.notes)])


def measure_size(
    table: pl.DataFrame,
    *,
    reference: str,
    model: str,
    scores: Sequence[str] = (),
    chance: Mapping[str, float] | None = None,
    level: float = 0.9,
) -> SizeAnswer:
    """Find the effective size of a model among the models of a reference family.

    Args:
        table: one row per model and task (model, family, params, task, value, optionally chance);
            or one row per model with a column per task, named by `scores`.
        reference: the reference family: at least three sizes.
        model: the model to measure.
        scores: columns of scores, in a table with one row per model.
        chance: score of random guessing by task, if the table has no such column.
        level: of the interval.

    Returns:
        A `SizeAnswer`.

    Raises:
        DataError: a column is missing, the family has too few sizes, or no task defines a size.
        UsageError: the model or family does not exist.

    Source: Xiao et al. 2024 (arXiv 2412.04315); the curve of scores is the pass-rate law, whose
    ceiling is 1, and the spread over references is ours.

    Examples:
        >>> scores = augury.read_table("families.csv")
        >>> found = augury.measure_size(scores, reference="ref", model="new")
        >>> 2 < found.density < 8
        True
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    rows = _long_table(table, scores, chance or {})
    for name, wanted in (("family", reference), ("model", model)):
        there = rows[name].unique().sort().to_list()
        if wanted not in there:
            raise UsageError(f"no {name} is called '{wanted}'; there are: {', '.join(there[:8])}")
    own = rows.filter(pl.col("model") == model)
    if own["task"].is_duplicated().any():
        raise DataError(f"the model '{model}' has two scores for one task", column="task",
                        expected="one row per model and task")  # fmt: skip
    sizes = own["params"].drop_nulls()
    params = None if sizes.is_empty() else float(sizes[0])
    found = {family: _measure_by(rows, family, own) for family in rows["family"].unique().sort()}
    lead = found[reference]
    if lead is None:
        count = rows.filter(pl.col("family") == reference)["params"].n_unique()
        raise DataError(f"the family '{reference}' has {count} sizes", column="params",
                        expected=f"at least {SIZES} sizes scored on the same tasks")  # fmt: skip
    per_task, curve = lead
    defined = per_task.drop_nulls("effective_params")
    if defined.is_empty():
        raise DataError(f"no task gives '{model}' a size by '{reference}'", column="value",
                        expected="scores that the family's curve reaches")  # fmt: skip
    notes = []
    lost = per_task.filter(pl.col("effective_params").is_null())["task"].to_list()
    if lost:
        said = f"The family's curve never reaches the score of {', '.join(lost)}: left out."
        notes.append(Note("undefined-size", "warning", said, {"tasks": lost}))
    estimate = _geometric_mean(defined["effective_params"].to_numpy(), level)
    seen = rows.filter(pl.col("family") == reference)["params"].drop_nulls()
    low, high = float(seen.min()), float(seen.max())  # type: ignore[arg-type]
    outside = max(estimate.value / high, low / estimate.value, 1.0)
    if outside > 1.0:
        said = f"The effective size is a factor of {outside:.1f} outside the sizes of {reference}."
        severity: Any = "warning" if outside > OUTSIDE else "info"
        notes.append(Note("far", severity, said, {"factor": outside}))
    references = []
    for family, answer in found.items():
        sized = None if answer is None else answer[0].drop_nulls("effective_params")
        if sized is None or sized.is_empty():
            continue
        e = _geometric_mean(sized["effective_params"].to_numpy(), level)
        of_family = rows.filter(pl.col("family") == family)["params"].drop_nulls().to_numpy()
        if not of_family.min() / OUTSIDE <= e.value <= of_family.max() * OUTSIDE:
            continue  # extrapolated this far, its curve is not a reference
        references.append({
            "family": family, "effective_params": e.value,
            "density": None if params is None else e.value / params,
            "low": e.interval[0], "high": e.interval[1], "tasks": sized.height,
        })  # fmt: skip
    spread = [r["effective_params"] for r in references]
    if spread and max(spread) > 2 * min(spread):
        said = (
            f"The reference matters: by {len(references)} families the size is {min(spread):.3g} "
            f"to {max(spread):.3g}."
        )
        notes.append(Note("yardstick", "warning", said, {"low": min(spread), "high": max(spread)}))
    return SizeAnswer(
        level=level,
        status=AnswerStatus.FAR if outside > OUTSIDE else AnswerStatus.ANSWERED,
        notes=tuple(notes),
        seed=0,
        model=model,
        reference=reference,
        params=params,
        effective_params=estimate,
        table=per_task,
        references=tuple(references),
        curve=curve,
    )


def _long_table(
    table: pl.DataFrame, scores: Sequence[str], chance: Mapping[str, float]
) -> pl.DataFrame:
    """Return model, family, params, task, value, chance: one row per model and task."""
    needed = ["model", "family", "params", *(scores or ("task", "value"))]
    for name in needed:
        if name not in table.columns:
            there = ", ".join(table.columns[:12])
            raise DataError("the column is missing", column=name,
                            expected=(
                                f"the column, or --map onto it from one of: {there}"
                            ))  # fmt: skip
    rows = table
    if scores:
        kept = table.select("model", "family", "params", *scores)
        rows = kept.unpivot(
            on=list(scores), index=["model", "family", "params"], variable_name="task",
            value_name="value",
        )  # fmt: skip
    floor = pl.col("chance").fill_null(0.0) if "chance" in rows.columns else pl.lit(0.0)
    given = pl.col("task").replace_strict(dict(chance), default=None, return_dtype=pl.Float64)
    return rows.select(
        "model", "family", pl.col("params").cast(pl.Float64), "task",
        pl.col("value").cast(pl.Float64), chance=pl.coalesce(given, floor),
    ).drop_nulls(["model", "family", "task", "value"])  # fmt: skip


def _measure_by(
    rows: pl.DataFrame, family: str, own: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Return sizes per task by a family, and its curves; None if it cannot serve as a reference."""
    # The model itself is not part of the reference it is compared with.
    members = rows.filter((pl.col("family") == family) & (pl.col("model") != own["model"][0]))
    members = members.drop_nulls("params")
    found, curves = [], []
    for row in own.sort("task").iter_rows(named=True):
        part = members.filter(pl.col("task") == row["task"])
        inside = part.filter((pl.col("value") > pl.col("chance")) & (pl.col("value") < 1.0))
        if inside["params"].n_unique() < SIZES:
            continue
        fitted = fit("pass-rate:over=params", inside.select("params", "value", "chance"),
                     uncertainty="none", influence=False)  # fmt: skip
        c, alpha = fitted.parameters["c"], fitted.parameters["alpha"]
        q = (row["value"] - row["chance"]) / (1.0 - row["chance"])
        rises = fitted.usable and alpha > 0.01 and 0.0 < q < 1.0
        size = (c / -np.log(q)) ** (1.0 / alpha) if rises else None
        found.append({"task": row["task"], "score": row["value"],
                      "effective_params": None if size is None else float(size)})  # fmt: skip
        ends = [float(inside["params"].min()), float(inside["params"].max())]  # type: ignore[arg-type]
        grid = np.geomspace(min([*ends, size or np.inf]) / 1.5, max([*ends, size or 0]) * 1.5, 60)
        chance = float(inside["chance"][0])
        value = chance + (1 - chance) * np.exp(-c * grid**-alpha)
        curves.append(
            pl.DataFrame({"params": grid, "value": value}).select(
                pl.lit(row["task"]).alias("task"), "params", "value", kind=pl.lit("curve")
            )
        )
        curves.append(part.select("task", "params", "value", kind=pl.lit("family")))
    if not found:
        return None
    schema = {"task": pl.String, "score": pl.Float64, "effective_params": pl.Float64}
    return pl.DataFrame(found, schema=schema), pl.concat(curves)


def _geometric_mean(sizes: Any, level: float) -> Estimate:
    """Return the geometric mean over tasks and its Student's t interval; none below three."""
    logs = np.log(sizes)
    value = float(np.exp(logs.mean()))
    if len(logs) < TASKS:
        return Estimate(value, (np.nan, np.nan))
    reach = (
        scipy.stats.t.ppf(0.5 + level / 2, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    )
    return Estimate(value, (float(value * np.exp(-reach)), float(value * np.exp(reach))))
