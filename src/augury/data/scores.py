"""What a row's score is, what its `n` counts, and which likelihood suits it. Defined only here.

A row gives its score in one of three ways: `value`; counts of repeated sampling (`passes` of
`samples`, with `stop_passes` if sampling stopped at r passes); or `logprob`, the exact
log-probability of passing. A value has a standard error (`stderr`) and a number of instances (`n`).
`n` is a number of trials only if every instance scored 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.counts import rate
from augury.data.metrics import find_metric, higher_is_better
from augury.errors import DataError, UsageError

Floats = NDArray[np.float64]
# A score this far above guessing is one: two standard errors of a benchmark of 1,000 questions.
ABOVE_CHANCE = 0.03
# How far a standard error may differ from the binomial one of a share of n trials.
BINOMIAL_TOLERANCE = 0.2
Suited = Literal["binomial", "gaussian", "log-gaussian"]


@dataclass(frozen=True)
class Scores:
    """Scores of a table's rows.

    Attributes:
        value: (n,) the scores.
        trials: (n,) number of trials with outcome 0 or 1 behind each; 0 if it is not a share of
        trials.
        stderr: (n,) standard error if it adds to what the trials tell; 0 if unknown.
    """

    value: Floats
    trials: Floats
    stderr: Floats


def has_counts(table: pl.DataFrame) -> bool:
    """Return whether every row has counts of repeated sampling."""
    return {"passes", "samples"} <= set(table.columns) and not table["samples"].null_count()


def has_scores(columns: Sequence[str]) -> bool:
    """Return whether columns of these names can give scores."""
    there = set(columns)
    return "value" in there or {"passes", "samples"} <= there or "logprob" in there


def add_value(table: pl.DataFrame) -> pl.DataFrame:
    """Fill `value` from counts or an exact log-probability.

    A given value is kept. Counts give passes/samples, or the unbiased rate if `stop_passes` gives
    the number of passes at which sampling stopped.
    """
    names = set(table.columns)
    ways = [pl.col("value").cast(pl.Float64)] if "value" in names else []
    if {"passes", "samples"} <= names:
        share = (pl.col("passes") / pl.col("samples")).cast(pl.Float64)
        if "stop_passes" in names:
            p, k, r = (
                table[c].cast(pl.Float64).fill_null(f).to_numpy()
                for c, f in (("passes", 0.0), ("samples", 0.0), ("stop_passes", np.inf))
            )
            known = table["passes"].is_not_null() & table["samples"].is_not_null()
            unbiased = pl.Series(rate(p, k, r), nan_to_null=True).set(~known, None)
            stopped = table["stop_passes"].is_not_null()
            table = table.with_columns(__unbiased__=unbiased, __stopped__=stopped)
            share = pl.when("__stopped__").then("__unbiased__").otherwise(share)
        ways.append(share)
    if "logprob" in names:
        ways.append(pl.col("logprob").cast(pl.Float64).exp())
    if not ways:
        return table
    return table.with_columns(value=pl.coalesce(ways)).drop(
        "__unbiased__", "__stopped__", strict=False
    )


def whole_tasks(table: pl.DataFrame) -> pl.DataFrame:
    """Keep rows of whole tasks, not of single instances."""
    if "instance" in table.columns:
        return table.filter(pl.col("instance").is_null())
    return table


def check_one_metric(table: pl.DataFrame) -> None:
    """Refuse scores of one task by several metrics: taken together they are neither.

    Raises:
        UsageError: a task has several; the message says how to keep one.
    """
    if not {"metric", "value"} <= set(table.columns):
        return
    scored = table.filter(pl.col("value").is_not_null(), pl.col("metric").is_not_null())
    by = ["task"] if "task" in table.columns else []
    for task, own in scored.group_by(by or pl.lit(""), maintain_order=True):
        metrics = own["metric"].unique().sort().to_list()
        if len(metrics) > 1:
            of = f"of {task[0]} " if by else ""
            raise UsageError(
                f"there are scores {of}by {len(metrics)} metrics ({', '.join(metrics[:4])}); keep "
                f"one: --where \"metric = '{metrics[0]}'\""
            )


def at_chance(table: pl.DataFrame) -> bool:
    """Return whether no score of a task clearly exceeds guessing.

    Guessing gives 0 where `chance` is 0 or not told. No error rate is at chance.
    """
    if not table["value"].count():
        return False
    if "metric" in table.columns and False in map(higher_is_better, table["metric"].unique()):
        return False
    chance = pl.lit(0.0)
    if "chance" in table.columns:
        chance = pl.col("chance").cast(pl.Float64).fill_null(0.0)
    most = pl.when(chance > 0).then(chance + ABOVE_CHANCE).otherwise(0.0)
    return bool(table.select((pl.col("value") <= most).all()).item())


def counts_outcomes(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Return (n,) whether a row's `n` is the number of trials behind its `value`.

    Yes for metrics known to be means of 0/1 outcomes. No for other known metrics, exact pass rates,
    and values outside [0, 1]. For the rest the standard error decides, task by task: if most are
    binomial, n counts trials. Without a standard error the value is taken as a share of n, as in a
    table without a metric.
    """
    if not {"value", "n"} <= set(table.columns) or table.is_empty():
        return np.zeros(table.height, bool)
    value = table["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    n = table["n"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    share = (value >= 0) & (value <= 1)
    possible = share & (n > 0)
    if "stderr" not in table.columns or table["stderr"].null_count() == table.height:
        # Only the method tells that these are not shares of trials.
        if "logprob" in table.columns:
            possible &= table["logprob"].is_null().to_numpy()
        if "method" in table.columns:
            possible &= ~table["method"].is_in(["exact", "tree"]).fill_null(False).to_numpy()
    if "metric" not in table.columns:
        all_shares = bool((share | ~np.isfinite(value)).all())
        return possible & (all_shares and _binomial_errors(table, value, n))
    answer = np.zeros(table.height, bool)
    metrics = table["metric"].to_list()
    for name in set(metrics):
        own = np.array([m == name for m in metrics])
        known = find_metric(name)
        if known is not None and known.is_outcome is False:
            continue
        if not (share | ~own | ~np.isfinite(value)).all():
            continue  # one score outside [0, 1]: not a share in its other rows either
        sure = known is not None and known.is_outcome is True
        answer |= own & possible & (sure or _binomial_errors(table.filter(own), value[own], n[own]))
    return answer


def _binomial_errors(table: pl.DataFrame, value: Floats, n: Floats) -> bool:
    """Return whether standard errors, if given, are those of shares of n trials."""
    if "stderr" not in table.columns or table["stderr"].null_count() == table.height:
        return True
    stderr = table["stderr"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    given = np.isfinite(stderr) & np.isfinite(value) & (n > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        binomial = np.sqrt(value * (1 - value) / n)
        off = np.abs(stderr - binomial) > BINOMIAL_TOLERANCE * binomial
    # Means of probabilities are not shares of n: 2,048 instances of 1e-4 are not 0 passes.
    return bool(off[given].mean() < 0.5) if given.any() else True


def scores_of(table: pl.DataFrame) -> Scores:
    """Return score, trials and standard error of every row.

    Raises:
        DataError: a row has no score, or more passes than samples.
    """
    none = np.zeros(table.height)
    if has_counts(table):
        samples = _filled_column(table, "samples", positive=True)
        passes = _filled_column(table, "passes", positive=False)
        if (passes > samples).any():
            i = int(np.argmax(passes > samples))
            raise DataError("more passes than samples", row=_row(table, i), column="passes",
                            value=passes[i], expected=f"at most {samples[i]:g}")  # fmt: skip
        return Scores(passes / samples, samples, none)
    table = add_value(table)
    if "value" not in table.columns:
        raise DataError("the column is missing", column="value",
                        expected="value, or passes and samples")  # fmt: skip
    value = _filled_column(table, "value", positive=None)
    trials, stderr = none, none
    if "n" in table.columns:
        counted = counts_outcomes(table)
        n = table["n"].cast(pl.Float64).fill_null(0.0).to_numpy()
        trials = np.where(counted, n, 0.0)
    if "stderr" in table.columns:
        given = table["stderr"].cast(pl.Float64).fill_null(0.0).to_numpy()
        stderr = np.where(trials > 0, 0.0, np.nan_to_num(given))
    return Scores(value, trials, stderr)


def trials_of(table: pl.DataFrame) -> Floats:
    """Return (n,) trials of a table of counts: `samples` if all rows have them, else `n`."""
    name = "samples" if has_counts(table) else "n"
    return table[name].cast(pl.Float64).to_numpy()


def suited_likelihood(table: pl.DataFrame) -> Suited:
    """Choose the likelihood that suits the scores of a table; the same for a fit and a study.

    Counts of trials: the binomial. Exact pass rates above 0 vary by factors, not by amounts: the
    Gaussian of their logarithms. Every other score: the Gaussian.
    """
    if has_counts(table):
        return "binomial"
    table = add_value(table)
    if "value" not in table.columns or table.is_empty():
        return "gaussian"
    value = table["value"]
    if "metric" in table.columns and (table["metric"] == "pass").all():
        return "log-gaussian" if bool((value > 0).all()) else "gaussian"
    known = value.is_not_null().to_numpy()
    if known.any() and counts_outcomes(table)[known].all():
        return "binomial"
    return "gaussian"


def stop_of(table: pl.DataFrame) -> Floats:
    """Return (n,) passes at which sampling stopped, from `stop_passes`; infinite if it did not."""
    if "stop_passes" not in table.columns:
        return np.full(table.height, np.inf)
    return table["stop_passes"].cast(pl.Float64).fill_null(np.inf).to_numpy()


def _filled_column(table: pl.DataFrame, name: str, *, positive: bool | None) -> Floats:
    """Return a column without gaps: above 0, at least 0, or any finite number (None)."""
    values = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = ~np.isfinite(values)
    if positive is not None:
        bad |= values <= 0 if positive else values < 0
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            "not a score" if positive is None else "not usable",
            row=_row(table, i),
            column=name,
            value=table[name][i],
            expected={True: "a positive number", False: "0 or more", None: "a finite number"}[
                positive
            ],
        )
    return np.asarray(values, float)


def _row(table: pl.DataFrame, i: int) -> int:
    return int(table["row"][i]) if "row" in table.columns else i + 1
