"""Read a table of counts as a series of models: rates, their precision, and the scale.

Growth is measured where the law of Hu et al. 2023 (arXiv 2310.03262) is a straight line: F =
log(-log p) over the logarithms of the scale, p the pass rate above chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.counts import mean_and_shape
from augury.data.scores import stop_of
from augury.data.table import run_ids
from augury.errors import DataError, UsageError
from augury.forecast.links import Link
from augury.forecast.wordings import PROMPT, Wordings, additive, wordings_in
from augury.laws.pass_rate import FALLS_WITH

Floats = NDArray[np.float64]

# Columns that distinguish the models of a series; those present are used.
IDENTITY = ("model", "family", "run", "params", "tokens", "step", "seed")
# Exact probabilities count as this many samples: no series is long enough to show a difference.
AS_SAMPLES = 1e12


@dataclass(frozen=True)
class RateSeries:
    """Counts of M models on S instances.

    Attributes:
        scales: names of the scale's columns.
        x: (M, k) scale of each model, increasing in the first one.
        passes, samples: (M, S) counts; 0 samples if a pair was not measured.
        rate: (M,) mean pass rate over instances, chance removed.
        shape: (M,) effective number of passes of that mean: mean^2 / sampling variance.
        chance: pass rate of random guessing.
        reference: (M, S) log-likelihood of the reference answer if known, else NaN.
        stopped: passes at which sampling stopped; infinite if the number of samples was fixed.
        run: (M,) training run of each model: checkpoints of one run share a label.
        wording: (S,) which wording of the benchmark each instance is asked in, from 0; None if the
            table tells of none. An instance asked in two wordings counts as two.
        left_out: wordings that are not used, each with a model that was not asked in it.
    """

    scales: tuple[str, ...]
    x: Floats
    passes: Floats
    samples: Floats
    rate: Floats
    shape: Floats
    chance: float
    reference: Floats
    stopped: float
    run: NDArray[np.int64]
    wording: NDArray[np.int64] | None = None
    left_out: tuple[tuple[str | None, str], ...] = ()

    @property
    def z(self) -> Floats:
        """(M, k) logarithms of the scale."""
        return self.along(self.x)

    def along(self, x: Floats) -> Floats:
        """Return (q, k) logarithms of scales, with the sign reversed if less is better."""
        return np.log(x) * np.array([-1.0 if s in FALLS_WITH else 1.0 for s in self.scales])

    @property
    def f(self) -> Floats:
        """(M,) log(-log rate)."""
        return to_f(self.rate)

    @property
    def f_variance(self) -> Floats:
        """(M,) sampling variance of `f`."""
        return 1.0 / (self.shape * np.log(np.clip(self.rate, 1e-300, 1 - 1e-9)) ** 2)

    @property
    def above_chance(self) -> tuple[Floats, NDArray[np.bool_]]:
        """(M,) mean rates above chance, with equal weight per instance; and which exceed 0."""
        with np.errstate(invalid="ignore"):
            each = np.where(self.samples > 0, self.passes / self.samples, np.nan)
        rate = (np.nanmean(each, 1) - self.chance) / (1 - self.chance)
        return rate, rate > 0

    def some(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> RateSeries:
        """Return the series of only these models."""
        return RateSeries(
            self.scales,
            self.x[rows],
            self.passes[rows],
            self.samples[rows],
            self.rate[rows],
            self.shape[rows],
            self.chance,
            self.reference[rows],
            self.stopped,
            self.run[rows],
            self.wording,
            self.left_out,
        )

    def wordings(self) -> Wordings | None:
        """Return what the series tells about wordings, on `GROWING`; None if it tells of none."""
        if self.wording is None:
            return None
        count = int(self.wording.max()) + 1
        if count == 1:
            return Wordings(1, np.nan)
        # One wording is as precise as its counts: sampling noise is not spread of wordings.
        rate, shape = (np.empty((len(self.x), count)) for _ in range(2))
        for w in range(count):
            rate[:, w], shape[:, w] = self._rates(self.wording == w)
        v = GROWING.to(rate)
        precision = shape * np.log(np.clip(rate, 1e-300, 1 - 1e-9)) ** 2
        model, word = (x.ravel() for x in np.indices(v.shape))
        return additive(v.ravel(), model, word, precision.ravel())[2]

    @property
    def instances(self) -> int:
        """Number of instances, whatever the number of wordings."""
        per_wording = (
            np.bincount(self.wording) if self.wording is not None else [self.passes.shape[1]]
        )
        return int(max(per_wording))

    def _rates(self, some: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return (M,) rates above chance and their effective passes, over some instances."""
        return _above_chance(self.passes[:, some], self.samples[:, some], self.stopped, self.chance)


def _above_chance(
    passes: Floats, samples: Floats, stopped: float, chance: float
) -> tuple[Floats, Floats]:
    """Return (M,) mean rates above chance of (M, S) counts, and their effective passes."""
    rate, shape = np.empty(len(passes)), np.empty(len(passes))
    for m in range(len(passes)):
        there = samples[m] > 0
        rate[m], shape[m] = mean_and_shape(passes[m, there], samples[m, there], stopped)
    above = (rate - chance) / (1 - chance)
    # Near chance, only the part of the mean above it counts, and it is less precise.
    least = rate * 0.05
    shape = shape * (np.maximum(above, least) / rate) ** 2
    return np.maximum(above, least), np.minimum(shape, 1e12)


def to_f(rate: Floats) -> Floats:
    """Compute log(-log p)."""
    return np.log(-np.log(np.clip(rate, 1e-300, 1 - 1e-9)))


def from_f(f: Floats) -> Floats:
    """Compute the pass rate of F."""
    return np.exp(-np.exp(np.minimum(f, 7.0)))


# The scale of forecasts of pass rates, on which they grow: -F.
GROWING = Link(lambda rate: -to_f(rate), lambda v: from_f(-v))


def series(table: pl.DataFrame, scales: Sequence[str]) -> RateSeries:
    """Read a series from a table of counts.

    Args:
        table: rows of instances with `passes` and `samples`, or with the exact `logprob`. Rows
            without `instance` are means; they are left out if other rows have one. One task, in
            one or several wordings (`prompt`). Wordings that some model was not asked in are left
            out if two others remain.
        scales: columns along which models grow, such as ("params",) or ("params", "tokens").

    Raises:
        DataError: a column is missing, a scale is not the same for all rows of a model, counts do
            not fit, there is more than one task, or fewer than two wordings were asked of every
            model and others of some.
        UsageError: fewer than three models.
    """
    for name in (*scales, "model"):
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="in a table of counts")
    if "instance" in table.columns and table["instance"].is_not_null().any():
        table = table.filter(pl.col("instance").is_not_null())
    elif "instance" not in table.columns:
        table = table.with_columns(pl.lit("all").alias("instance"))
    if "task" in table.columns and table["task"].n_unique() > 1:
        raise DataError(
            "there are several tasks",
            column="task",
            value=table["task"].unique().sort().to_list()[:5],
            expected="one; choose it with --where",
        )
    table = _counted(table)
    keys = [c for c in IDENTITY if c in table.columns]
    keys += [s for s in scales if s not in keys]
    bad = table.filter(pl.any_horizontal(pl.col(s).is_null() for s in scales))
    if bad.height:
        raise DataError(
            "the scale of a model is missing", value=bad["model"][0], expected=", ".join(scales)
        )
    models = table.select(keys).unique(maintain_order=True).sort([*scales, "model"])
    if models.height < 3:
        raise UsageError(
            f"a trend needs at least three models; there {'is' if models.height == 1 else 'are'} "
            f"{models.height} with these settings"
        )
    table, words, left_out = _common_wordings(table, models)
    asked = ["instance", PROMPT] if words else ["instance"]
    names = table.select(asked).unique(maintain_order=True).rows()
    row = {key: i for i, key in enumerate(models.iter_rows())}
    column = {name: i for i, name in enumerate(names)}
    at = np.array([row[key] for key in table.select(keys).iter_rows()])
    to = np.array([column[name] for name in table.select(asked).iter_rows()])
    wording = np.array([words.index(name[1]) for name in names]) if words else None
    grid = np.full((len(row), len(names)), np.nan)
    passes, samples, value, reference = (grid.copy() for _ in range(4))
    for name, into in (
        ("passes", passes),
        ("samples", samples),
        ("value", value),
        ("reference_logprob", reference),
    ):
        if name in table.columns:
            if np.isfinite(into[at, to]).any() or len(set(zip(at, to, strict=True))) < len(at):
                raise DataError(
                    "an instance of a model is measured twice",
                    column="instance",
                    expected="one row per model and instance; choose with --where",
                )
            into[at, to] = table[name].cast(pl.Float64).to_numpy()
    samples = np.nan_to_num(samples)
    passes = np.nan_to_num(passes)
    stopped = _stop(table, passes, samples)
    chance = 0.0
    if "chance" in table.columns:
        chance = float(np.nanmean(table["chance"].cast(pl.Float64).fill_null(0.0).to_numpy()))
    rate, shape = _above_chance(passes, samples, stopped, chance)
    return RateSeries(
        tuple(scales),
        models.select(scales).to_numpy().astype(float),
        passes,
        samples,
        rate,
        shape,
        chance,
        reference,
        stopped,
        run_ids(models),
        wording,
        left_out,
    )


def _common_wordings(
    table: pl.DataFrame, models: pl.DataFrame
) -> tuple[pl.DataFrame, list[str | None], tuple[tuple[str | None, str], ...]]:
    """Leave out the wordings that some model was not asked in, if two others remain.

    A model's rate is a mean over wordings, so all models need the same ones. With a single wording
    left, their spread would be unknown though the table tells of it.
    """
    words = wordings_in(table)
    lacking: dict[str | None, str] = {}
    for word in words:
        asked = table.filter(
            pl.col(PROMPT).eq_missing(pl.lit(word, pl.String)), pl.col("samples") > 0
        )
        others = models.join(asked, on=models.columns, how="anti", nulls_equal=True)
        if others.height:
            lacking[word] = str(others["model"][0])
    kept = [word for word in words if word not in lacking]
    if lacking and len(kept) < 2:
        word, model = next(iter(lacking.items()))
        raise DataError(
            f"model '{model}' was not asked in every wording",
            column=PROMPT,
            value=word,
            expected="at least two wordings asked of every model; choose with --where",
        )
    if lacking:
        table = table.filter(pl.col(PROMPT).is_in(kept, nulls_equal=True))
    return table, kept, tuple(lacking.items())


def _counted(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with `passes` and `samples`, computed from exact probabilities if needed."""
    have: Mapping[str, bool] = {c: c in table.columns for c in ("passes", "samples", "logprob")}
    if have["passes"] and have["samples"]:
        if have["logprob"]:
            exact = pl.col("samples").is_null() & pl.col("logprob").is_not_null()
            computed = pl.col("logprob").exp() * AS_SAMPLES
            table = table.with_columns(
                passes=pl.when(exact).then(computed).otherwise("passes"),
                samples=pl.when(exact).then(AS_SAMPLES).otherwise("samples"),
            )
    elif have["logprob"]:
        table = table.with_columns(
            passes=pl.col("logprob").exp() * AS_SAMPLES, samples=pl.lit(AS_SAMPLES)
        )
    else:
        missing = next(c for c in ("passes", "samples") if not have[c])
        raise DataError(
            "the column is missing",
            column=missing,
            expected="counts of repeated sampling (instance, passes, samples), or exact logprob",
        )
    wrong = table.filter((pl.col("passes") > pl.col("samples")) | (pl.col("passes") < 0))
    if wrong.height:
        raise DataError(
            f"instance '{wrong['instance'][0]}' of model '{wrong['model'][0]}' has passes that its "
            "samples do not allow",
            column="passes",
            value=wrong["passes"][0],
            expected=f"from 0 to {wrong['samples'][0]:g}",
        )
    return table.filter(pl.col("samples") > 0)


def _stop(table: pl.DataFrame, passes: Floats, samples: Floats) -> float:
    """Return the passes at which sampling stopped; infinite if it did not.

    From the column `stop_passes`. In a table without it (an older one, or counts of another tool)
    "r passes or the cap" is recognised only if nothing else can explain the counts: everything
    below the largest number of samples has exactly r passes, and nothing has more.
    """
    if "stop_passes" in table.columns and table["stop_passes"].count():
        told = np.unique(stop_of(table))
        if len(told) > 1:
            raise DataError(
                "sampling stopped at different numbers of passes",
                column="stop_passes",
                value=", ".join(f"{x:g}" for x in told[:5]),
                expected="one number; choose with --where",
            )
        # The single pass that ended sampling gives no unbiased estimate: keep the raw count.
        return float(told[0]) if told[0] >= 2 else float("inf")
    below = (samples > 0) & (samples < samples.max())
    found = np.unique(passes[below])
    if len(found) == 1 and found[0] >= 2 and passes.max() == found[0]:
        return float(found[0])
    return float("inf")
