"""The intrinsic dimension of finetuning: how few parameters match all of them, over size.

Li et al. 2018 (arXiv 1804.08838) and Aghajanyan et al. 2020 (arXiv 2012.13255): a model is trained
in random subspaces of its weights of growing dimension; d_90 is the smallest dimension with 90 % of
the gain from training all weights. The unit of repetition is a seed (a subspace and an order of the
examples) for one model, and a model for the law over size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy

from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.forecast.questions.answers import Estimate

# Number of models of different size needed for a line over size with an interval.
FEWEST_MODELS = 3
COLUMNS = ("run", "params", "finetune_examples", "trained_params", "seed")


@dataclass(frozen=True)
class IntrinsicDimension(Shown):
    """The smallest dimensions with a share of the full gain, per model and over size.

    Attributes:
        share: of the gain, .9 for d_90.
        level: of the intervals.
        table: one row per model: run, params, dimension (geometric mean over seeds; null if no
            subspace tried had the share), low, high (Student's t over the seeds; null for one),
            seeds, reached (number of seeds with a subspace that had the share), gain (of all
            weights, in the units of the measure).
        curves: rows of run, params, seed, dimensions, share (of that seed's gain).
        exponent: b of dimension = a params^b, by least squares through the models of the table;
            None for fewer than three of different size. Its interval is Student's t over models.
    """

    share: float
    level: float
    table: pl.DataFrame
    curves: pl.DataFrame
    exponent: Estimate | None

    def _card(self) -> Card:
        name = f"d_{100 * self.share:g}"
        if self.exponent is None:
            return Card(f"{name} of {self.table.height} models", self.table)
        return Card(f"{name} grows as params^{self.exponent}", self.table)

    def __str__(self) -> str:
        return self._card().heading

    def predict(self, params: float) -> Estimate:
        """Predict the dimension at another size, with a prediction interval (Student's t).

        Raises:
            UsageError: there is no law over size, or `params` is not positive.
        """
        if self.exponent is None:
            raise UsageError(f"a law over size needs {FEWEST_MODELS} models of different size")
        if not params > 0:
            raise UsageError(f"params must be positive, not {params}")
        value, far = _line(self.table, self.level, float(params))
        return Estimate(
            float(np.exp(value)), (float(np.exp(value - far)), float(np.exp(value + far)))
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"share": self.share, "level": self.level, "models": self.table.to_dicts(),
                "exponent": None if self.exponent is None else self.exponent.to_dict()}  # fmt: skip


def measure_intrinsic_dimension(
    table: pl.DataFrame, *, share: float = 0.9, measure: str = "logprob", level: float = 0.9
) -> IntrinsicDimension:
    """Measure d_90 of each model, and how it grows with size.

    The gain of a subspace is compared with that of all weights for the same model, seed, subset and
    examples. The dimension is interpolated in its logarithm between the last one below the share
    and the first one that has it.

    Args:
        table: the result of a sweep in subspaces (`finetune_sweep(..., subspace=[16, 64, 256])`),
            for one task and one number of examples: run, params, finetune_examples (0 for the
            untuned model), trained_params (null if all were trained), seed and the measure.
        share: of the gain.
        measure: column in which the gain is counted, higher is better. The log-probability of
            passing also moves where nothing passes yet; "value" is the score itself.
        level: of the intervals.

    Raises:
        UsageError: the share or the level is not between 0 and 1.
        DataError: a column is missing, or the table has no subspaces, several tasks or amounts.
    """
    for name, number in (("share", share), ("level", level)):
        if not 0 < number < 1:
            raise UsageError(f"{name} must be between 0 and 1, not {number}")
    curves = _curves(_checked(table, measure), measure)
    rows = [_model_row(own, share, level) for _, own in curves.group_by("run", maintain_order=True)]
    models = pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort("params", "run")
    found = models.drop_nulls("dimension")
    exponent = None
    if found["params"].n_unique() >= FEWEST_MODELS:
        fit = scipy.stats.linregress(np.log(found["params"].to_numpy()),
                                     np.log(found["dimension"].to_numpy()))  # fmt: skip
        t = scipy.stats.t.ppf((1 + level) / 2, found.height - 2)
        slope, spread = float(fit.slope), float(t * fit.stderr)
        exponent = Estimate(slope, (slope - spread, slope + spread))
    return IntrinsicDimension(share, level, models, curves, exponent)


_SCHEMA: Mapping[str, Any] = {
    "run": pl.String, "params": pl.Float64, "dimension": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "seeds": pl.Int64, "reached": pl.Int64, "gain": pl.Float64,
}  # fmt: skip


def _checked(table: pl.DataFrame, measure: str) -> pl.DataFrame:
    lacking = [name for name in (*COLUMNS, measure) if name not in table.columns]
    if lacking:
        raise DataError(
            f"has no column '{lacking[0]}'", expected="the rows of a sweep in subspaces"
        )
    tuned = table.filter(pl.col("finetune_examples") > 0)
    if tuned["trained_params"].null_count() in (0, tuned.height):
        raise DataError("needs rows with trained_params, and rows without (all weights)",
                        expected="the rows of a sweep in subspaces")  # fmt: skip
    for name in ("finetune_examples", "finetune_task"):
        if name in tuned.columns and tuned[name].n_unique() > 1:
            some = ", ".join(map(str, tuned[name].unique().sort().to_list()[:3]))
            raise DataError(
                f"has several values of {name}: {some}", expected=("a single value; filter first")
            )
    return table


def _curves(table: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Return run, params, seed, dimensions, and the share of the gain of training all weights."""
    model = ["run", *(["step"] if "step" in table.columns else [])]
    draw = [*model, "seed", *(["subset"] if "subset" in table.columns else [])]
    before = table.filter(finetune_examples=0).select(*model, before=measure)
    tuned = table.filter(pl.col("finetune_examples") > 0)
    whole = tuned.filter(pl.col("trained_params").is_null()).select(*draw, whole=measure)
    parts = tuned.filter(pl.col("trained_params").is_not_null())
    joined = parts.join(before, on=model, nulls_equal=True).join(whole, on=draw, nulls_equal=True)
    gain = pl.col("whole") - pl.col("before")
    if joined.filter(gain <= 0).height:
        worst = joined.filter(gain <= 0)["run"][0]
        raise DataError(f"training all weights gained nothing of {measure} for '{worst}'",
                        expected="a gain to compare subspaces with")  # fmt: skip
    name = (
        pl.concat_str(draw[: len(model)], separator=" step ") if len(model) > 1 else pl.col("run")
    )
    who = pl.concat_str(draw[len(model) :], separator=", subset ", ignore_nulls=True)
    return joined.select(
        run=name, params="params", seed=who, dimensions="trained_params",
        share=(pl.col(measure) - pl.col("before")) / gain, gain=gain,
    ).sort("params", "run", "seed", "dimensions")  # fmt: skip


def _model_row(own: pl.DataFrame, share: float, level: float) -> tuple[Any, ...]:
    """Return one model's row of the table."""
    found = [
        _first_at(seed["dimensions"].to_numpy(), seed["share"].to_numpy(), share)
        for _, seed in own.group_by("seed", maintain_order=True)
    ]
    logs = np.log([x for x in found if x is not None])
    every = len(logs) == len(found)
    value = float(np.exp(logs.mean())) if every else None
    low = high = None
    if every and len(logs) > 1:
        far = (
            scipy.stats.t.ppf((1 + level) / 2, len(logs) - 1)
            * logs.std(ddof=1)
            / np.sqrt(len(logs))
        )
        low, high = (float(np.exp(logs.mean() + x)) for x in (-far, far))
    gain = float(np.mean([x["gain"][0] for _, x in own.group_by("seed")]))
    return own["run"][0], own["params"][0], value, low, high, len(found), len(logs), gain


def _first_at(dimensions: Any, shares: Any, share: float) -> float | None:
    """Find where the share is first reached, interpolated in log dimensions, or None.

    Returns the smallest dimension tried if that has the share already.
    """
    reached = np.flatnonzero(shares >= share)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(dimensions[0])
    part = (share - shares[i - 1]) / (shares[i] - shares[i - 1])
    ends = np.log(dimensions[i - 1 : i + 1])
    return float(np.exp(ends[0] + part * (ends[1] - ends[0])))


def _line(models: pl.DataFrame, level: float, params: float) -> tuple[float, float]:
    """Return the line through the models at a size, and a new model's interval half-width."""
    found = models.drop_nulls("dimension")
    x, y = np.log(found["params"].to_numpy()), np.log(found["dimension"].to_numpy())
    slope, start = np.polyfit(x, y, 1)
    at, free = np.log(params), len(x) - 2
    scatter = np.sqrt(np.sum((y - start - slope * x) ** 2) / free)
    own = np.sqrt(1 + 1 / len(x) + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    return float(start + slope * at), float(
        scipy.stats.t.ppf((1 + level) / 2, free) * scatter * own
    )
