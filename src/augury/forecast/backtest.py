"""Backtests: fit on what came before, forecast what came after, and count.

The window expands: everything below a scale is fitted, what lies above is forecast, then the next
scale. What is reported is what a user needs to know of a forecaster: how far off, and how often its
intervals held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from augury.data.scores import add_value, trials_of
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting import Fit, Likelihood
from augury.fitting.fit import fit
from augury.fitting.space import Floats
from augury.forecast.chain import Chain, ChainFit, fit_chain, parse_chain
from augury.forecast.predict import extrapolation, observed, predictive
from augury.laws import Law

Fitted = Fit | ChainFit
Fitter = Callable[[pl.DataFrame], Any]

# Draws per forecast in a backtest: its 5 and 95 % quantiles are then known to a tenth of the
# interval's width.
DRAWS = 400


@dataclass(frozen=True)
class Backtest(Shown):
    """Every forecast of a backtest, and what they come to.

    Attributes:
        rows: one row a law and held-out point: law, cut (the scale below which was fitted), the
            row in the table, observed, value, low, high, held, error (forecast - observed),
            relative (error / observed), crps (continuous ranked probability score, in the unit of
            residuals: logarithms where the likelihood takes them), extrapolation, status.
        level: of the intervals, which are for a new run.
    """

    rows: pl.DataFrame
    level: float

    @property
    def summary(self) -> pl.DataFrame:
        """Per law, best (by CRPS) first: errors, coverage and mean width of the intervals."""
        return (
            self.rows.group_by("law", maintain_order=True)
            .agg(
                n=pl.len(),
                mean_abs_error=pl.col("error").abs().mean(),
                median_abs_relative=pl.col("relative").abs().median(),
                crps=pl.col("crps").mean(),
                coverage=pl.col("held").mean(),
                mean_width=(pl.col("high") - pl.col("low")).mean(),
                level=pl.lit(self.level),
            )
            .sort("crps", maintain_order=True)
        )

    def _card(self) -> Card:
        cuts = self.rows["cut"].n_unique()
        return Card(
            f"{self.rows.height} forecasts of held-out runs, from {cuts} cuts; best law first",
            self.summary,
            rows=self.rows,
        )


def backtest(
    laws: Sequence[Law | str] | Law | str,
    data: pl.DataFrame | Mapping[str, Any],
    *,
    holdout: str | None = None,
    by: str | None = None,
    likelihood: Likelihood | str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Backtest:
    """Backtest laws or chains on a table.

    Args:
        laws: laws, chains, or their names ("chinchilla", "power+logistic-task").
        data: observation table, or columns by name.
        holdout: SQL expression of the rows held out, one split; without it, every scale at which
            the data can be cut with enough runs below.
        by: the scale of the expanding window; by default flops, tokens or params, the first there.
        likelihood: of the laws (of the task law in chains).
        level: of the intervals.
        seed: of the draws.

    Returns:
        A `Backtest`: `rows`, one a law and held-out point, in the unit of what is forecast, and
        `summary`, one a law.

    Raises:
        UsageError: the expression is wrong, or leaves nothing to fit or to forecast.
        DataError: as `fit`.

    Source: Gneiting & Raftery 2007 for the score, CRPS.
    """
    wanted = [laws] if isinstance(laws, Law | str) else list(laws)
    parsed = [parse_chain(x) if isinstance(x, str) else x for x in wanted]
    fitters = {str(law): fitter(law, likelihood, level, seed, influence=False) for law in parsed}
    table = data if isinstance(data, pl.DataFrame) else pl.DataFrame(dict(data))
    table = add_value(table)
    targets = {str(law): law.output if law.output in table.columns else "value" for law in parsed}
    numbered = table.with_row_index("__at__", offset=1)
    parts = []
    for name, fit_past in fitters.items():
        least = _least_runs(next(x for x in parsed if str(x) == name))
        for label, past, future in splits(numbered, holdout, by, least):
            fitted = fit_past(past.drop("__at__"))
            parts.append(
                scored(fitted, future, targets[name], level).with_columns(
                    pl.lit(name).alias("law"), pl.lit(label).alias("cut")
                )
            )
    if not parts:
        raise DataError(
            f"{table.height} rows are too few to fit these laws below any scale and forecast above",
            expected="more runs, or laws with fewer parameters",
        )
    return Backtest(pl.concat(parts), level)


def fitter(
    law: Law,
    likelihood: Likelihood | str | None,
    level: float,
    seed: int,
    draws: int = DRAWS,
    *,
    influence: bool = True,
) -> Fitter:
    """What fits a law or chain to the past, with draws for a forecast."""
    one: Callable[..., Fitted] = (
        partial(fit_chain, law, task_likelihood=likelihood)
        if isinstance(law, Chain)
        else partial(fit, law, likelihood=likelihood)
    )
    return partial(one, resamples=draws, level=level, seed=seed, influence=influence)


def _least_runs(law: Law) -> int:
    """Scales needed below a cut: one more than parameters; a chain's laws are fitted apart."""
    parts = (law.loss, law.task) if isinstance(law, Chain) else (law,)
    return max(len(part.parameters) for part in parts) + 1


def splits(
    data: pl.DataFrame, holdout: str | None, by: str | None, least: int
) -> list[tuple[str, pl.DataFrame, pl.DataFrame]]:
    """(label, past, future) of every cut with at least `least` rows and scales below it."""
    if holdout is not None:
        try:
            out = data.select(pl.sql_expr(holdout).alias("out"))["out"].cast(pl.Boolean)
        except (pl.exceptions.PolarsError, TypeError) as error:
            line = str(error).splitlines()[0]
            raise UsageError(f"cannot hold out by '{holdout}': {line}") from error
        past, future = data.filter(~out.fill_null(False)), data.filter(out.fill_null(False))
        if past.is_empty() or future.is_empty():
            raise UsageError(
                f"'{holdout}' holds out {future.height} of {data.height} rows: nothing is left to "
                f"{'fit' if past.is_empty() else 'forecast'}"
            )
        return [(holdout, past, future)]
    scale = by or next((n for n in ("flops", "tokens", "params") if n in data.columns), None)
    if scale is None or scale not in data.columns:
        raise UsageError(f"there is no column '{by or 'flops'}' to order the table by")
    values = data[scale].unique().sort().to_list()
    cuts = []
    for k in range(least, len(values)):
        past = data.filter(pl.col(scale) < values[k])
        cuts.append((f"{scale} < {values[k]:g}", past, data.filter(pl.col(scale) >= values[k])))
    return cuts


def scored(fitted: Fitted, future: pl.DataFrame, target: str, level: float) -> pl.DataFrame:
    """Forecasts of the rows of `future` beside what was observed.

    What a score was counted from is counted again: with 20 samples, even a rate that is known
    exactly is seen only to within a tenth.
    """
    drawn = predictive(fitted, future)
    truth = future[target].cast(pl.Float64).to_numpy()
    run = drawn.run
    if last_step(fitted).likelihood.counts:
        trials = trials_of(future).astype(np.int64)
        rng = np.random.default_rng([last_step(fitted).seed, 2])
        run = rng.binomial(trials, np.clip(run, 0.0, 1.0)) / trials
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(run, [tail, 1.0 - tail], axis=0)
    return pl.DataFrame(
        {
            "row": future["__at__"] if "__at__" in future.columns else np.arange(len(truth)),
            "observed": truth,
            "value": drawn.value,
            "low": low,
            "high": high,
            "held": (truth >= low) & (truth <= high),
            "error": drawn.value - truth,
            "relative": (drawn.value - truth) / truth,
            "crps": _score(fitted, run, truth),
            "extrapolation": extrapolation(observed(fitted), future),
            "status": [str(fitted.status)] * len(truth),
        }
    )


def last_step(fitted: Fitted) -> Fit:
    """The fit that gives what is forecast: a chain's task law."""
    return fitted.task if isinstance(fitted, ChainFit) else fitted


def _score(fitted: Fitted, draws: Floats, truth: Floats) -> Floats:
    """CRPS in the unit that residuals are measured in: logarithms where the likelihood takes them.

    A pass rate forecast as 1e-3 and found to be 1e-5 is as wrong as one of 1e-1 found to be 1e-3.
    """
    if last_step(fitted).likelihood.on_log and (draws > 0).all() and (truth > 0).all():
        return crps(np.log(draws), np.log(truth))
    return crps(draws, truth)


def crps(draws: Floats, truth: Floats) -> Floats:
    """(m,) continuous ranked probability score of (S, m) draws: E|X - y| - E|X - X'| / 2.

    Gneiting & Raftery 2007. The absolute error of a forecast that also knows how sure it is: a
    proper score, in the unit of what is forecast, which wild tails do not dominate.
    """
    ordered = np.sort(draws, axis=0)
    count = len(ordered)
    rank = (2.0 * np.arange(1, count + 1) - count - 1.0)[:, None]
    return np.abs(draws - truth).mean(0) - (rank * ordered).sum(0) / count**2


def compare(
    laws: Sequence[Law | str], data: pl.DataFrame | Mapping[str, Any], **options: Any
) -> pl.DataFrame:
    """`backtest` of several laws, summed up.

    Args:
        laws: laws, chains, or their names.
        data: observation table, or columns by name.
        options: of `backtest`: holdout, by, likelihood, level, seed.

    Returns:
        A table with a row a law, best first: n, errors in the unit of what is forecast, crps,
        coverage and mean width of the intervals.

    Raises:
        UsageError, DataError: as `backtest`.
    """
    return backtest(laws, data, **options).summary
